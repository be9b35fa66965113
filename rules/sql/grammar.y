// The SQL dialect. Actions call the builder and nothing else.
%include {
#include <cstddef>
#include <cstdlib>

#include "rules/sql/ast_builder.h"

using namespace iotcore::rules::sql;
}

%name SqlGrammar
%token_prefix SQL_
%token_type {Token}
%extra_argument {AstBuilder* build}
%stack_size 400

%syntax_error { build->syntax_error(TOKEN); }
%stack_overflow { build->too_deep(); }

// Which of the two texts this is: the lexer sends one of these first.
%token STATEMENT EXPRESSION.

%type expr {Expr*}
%type and_expr {Expr*}
%type not_expr {Expr*}
%type comparison {Expr*}
%type sum {Expr*}
%type term {Expr*}
%type unary {Expr*}
%type postfix {Expr*}
%type primary {Expr*}
%type call {Expr*}
%type arg {Expr*}
%type args {ExprList*}
%type exprs {ExprList*}
%type members {ExprList*}
%type whens {ExprList*}
%type else_part {Expr*}
%type where {Expr*}
%type items {Items*}
%type item {Item*}
%type alias {Item*}
%type select {Items*}
%type select_list {Items*}
%type subquery {Query*}
%type source_alias {Token}

text ::= STATEMENT set select(S) from where(W). { build->finish_statement(S, W); }
text ::= EXPRESSION expr(E). { build->finish_expression(E); }

set ::= .
set ::= SET assignments.
assignments ::= assignment.
assignments ::= assignments COMMA assignment.
assignment ::= VARIABLE(V) EQUAL expr(E). { build->assign(V, E); }

from ::= .
from ::= FROM STRING(S). { build->from(S); }

where(W) ::= . { W = nullptr; }
where(W) ::= WHERE expr(E). { W = E; }

select(S) ::= select_list(L). { S = L; }
select(S) ::= SELECT items(L) COMMA(C). { S = build->trailing_comma(L, C); }

select_list(S) ::= SELECT VALUE expr(E). { S = build->value_item(E); }
select_list(S) ::= SELECT items(L). { S = L; }
items(L) ::= item(I). { L = build->items(I); }
items(L) ::= items(M) COMMA item(I). { L = build->add_item(M, I); }
item(I) ::= expr(E). { I = build->item(E, nullptr); }
item(I) ::= expr(E) AS alias(A). { I = build->item(E, A); }
alias(A) ::= ID(N). { A = build->alias(nullptr, N); }
alias(A) ::= alias(B) DOT ID(N). { A = build->alias(B, N); }

subquery(Q) ::= select_list(L) FROM postfix(S) source_alias(A) where(W). { Q = build->query(L, S, A, W); }
source_alias(A) ::= . { A = Token{}; }
source_alias(A) ::= AS ID(N). { A = N; }

expr(R) ::= and_expr(A). { R = A; }
expr(R) ::= expr(A) OR(T) and_expr(B). { R = build->chain(ExprKind::kOr, A, T, B); }
and_expr(R) ::= not_expr(A). { R = A; }
and_expr(R) ::= and_expr(A) AND(T) not_expr(B). { R = build->chain(ExprKind::kAnd, A, T, B); }
not_expr(R) ::= NOT(T) not_expr(A). { R = build->unary(ExprKind::kNot, T, A); }
not_expr(R) ::= comparison(A). { R = A; }
comparison(R) ::= sum(A). { R = A; }
comparison(R) ::= comparison(A) EQUAL(T) sum(B). { R = build->binary(ExprKind::kEqual, A, T, B); }
comparison(R) ::= comparison(A) NOT_EQUAL(T) sum(B). { R = build->binary(ExprKind::kNotEqual, A, T, B); }
comparison(R) ::= comparison(A) LESS(T) sum(B). { R = build->binary(ExprKind::kLess, A, T, B); }
comparison(R) ::= comparison(A) LESS_EQUAL(T) sum(B). { R = build->binary(ExprKind::kLessEqual, A, T, B); }
comparison(R) ::= comparison(A) GREATER(T) sum(B). { R = build->binary(ExprKind::kGreater, A, T, B); }
comparison(R) ::= comparison(A) GREATER_EQUAL(T) sum(B). { R = build->binary(ExprKind::kGreaterEqual, A, T, B); }
comparison(R) ::= comparison(A) IN(T) sum(B). { R = build->binary(ExprKind::kIn, A, T, B); }
sum(R) ::= term(A). { R = A; }
sum(R) ::= sum(A) PLUS(T) term(B). { R = build->binary(ExprKind::kAdd, A, T, B); }
sum(R) ::= sum(A) MINUS(T) term(B). { R = build->binary(ExprKind::kSubtract, A, T, B); }
term(R) ::= unary(A). { R = A; }
term(R) ::= term(A) STAR(T) unary(B). { R = build->binary(ExprKind::kMultiply, A, T, B); }
term(R) ::= term(A) SLASH(T) unary(B). { R = build->binary(ExprKind::kDivide, A, T, B); }
term(R) ::= term(A) PERCENT(T) unary(B). { R = build->binary(ExprKind::kRemainder, A, T, B); }
unary(R) ::= MINUS(T) unary(A). { R = build->unary(ExprKind::kNegate, T, A); }
unary(R) ::= PLUS(T) unary(A). { R = build->plus(T, A); }
unary(R) ::= postfix(A). { R = A; }
postfix(R) ::= primary(A). { R = A; }
postfix(R) ::= postfix(A) DOT ID(N). { R = build->member(A, N); }
postfix(R) ::= postfix(A) LEFT_BRACKET(T) expr(I) RIGHT_BRACKET. { R = build->index(A, T, I); }

primary(R) ::= NUMBER(T). { R = build->leaf(ExprKind::kNumber, T); }
primary(R) ::= STRING(T). { R = build->leaf(ExprKind::kString, T); }
primary(R) ::= TRUE(T). { R = build->leaf(ExprKind::kTrue, T); }
primary(R) ::= FALSE(T). { R = build->leaf(ExprKind::kFalse, T); }
primary(R) ::= NULL(T). { R = build->leaf(ExprKind::kNull, T); }
primary(R) ::= VARIABLE(T). { R = build->leaf(ExprKind::kVariable, T); }
primary(R) ::= ID(T). { R = build->leaf(ExprKind::kName, T); }
primary(R) ::= STAR(T). { R = build->leaf(ExprKind::kStar, T); }
primary(R) ::= call(C). { R = C; }
primary(R) ::= LEFT_PAREN expr(E) RIGHT_PAREN. { R = build->parentheses(E); }
primary(R) ::= LEFT_PAREN(T) subquery(Q) RIGHT_PAREN. { R = build->subquery(ExprKind::kSubquery, T, Q); }
primary(R) ::= EXISTS(T) LEFT_PAREN subquery(Q) RIGHT_PAREN. { R = build->subquery(ExprKind::kExists, T, Q); }
primary(R) ::= CAST(T) LEFT_PAREN expr(E) AS ID(N) RIGHT_PAREN. { R = build->cast(T, E, N); }
primary(R) ::= CASE(T) expr(E) whens(L) else_part(X) END. { R = build->choice(T, E, L, X); }
primary(R) ::= CASE(T) whens(L) else_part(X) END. { R = build->choice(T, nullptr, L, X); }
primary(R) ::= LEFT_BRACE(T) RIGHT_BRACE. { R = build->literal(ExprKind::kObject, T, nullptr); }
primary(R) ::= LEFT_BRACE(T) members(L) RIGHT_BRACE. { R = build->literal(ExprKind::kObject, T, L); }
primary(R) ::= LEFT_BRACE(T) members(L) COMMA RIGHT_BRACE. { R = build->literal(ExprKind::kObject, T, L); }
primary(R) ::= LEFT_BRACKET(T) RIGHT_BRACKET. { R = build->literal(ExprKind::kArray, T, nullptr); }
primary(R) ::= LEFT_BRACKET(T) exprs(L) RIGHT_BRACKET. { R = build->literal(ExprKind::kArray, T, L); }

call(C) ::= NAME_OF_CALL(N) LEFT_PAREN RIGHT_PAREN. { C = build->call(N, nullptr); }
call(C) ::= NAME_OF_CALL(N) LEFT_PAREN args(L) RIGHT_PAREN. { C = build->call(N, L); }
args(L) ::= arg(A). { L = build->list(A); }
args(L) ::= args(M) COMMA arg(A). { L = build->append(M, A); }
arg(A) ::= expr(E). { A = E; }
arg(A) ::= subquery(Q). { A = build->subquery(ExprKind::kSubquery, Token{}, Q); }

exprs(L) ::= expr(A). { L = build->list(A); }
exprs(L) ::= exprs(M) COMMA expr(A). { L = build->append(M, A); }
members(L) ::= STRING(K) COLON expr(A). { L = build->member_list(nullptr, K, A); }
members(L) ::= members(M) COMMA STRING(K) COLON expr(A). { L = build->member_list(M, K, A); }
whens(L) ::= WHEN expr(A) THEN expr(B). { L = build->when(nullptr, A, B); }
whens(L) ::= whens(M) WHEN expr(A) THEN expr(B). { L = build->when(M, A, B); }
else_part(X) ::= . { X = nullptr; }
else_part(X) ::= ELSE expr(E). { X = E; }
