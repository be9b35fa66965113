#pragma once

#include "net/http_message.h"

#include <string>
#include <string_view>

namespace iotcore::server {

// Whether a browser sends this for a page that does not come from this machine. Where everybody may do everything since nobody but this machine gets there,
// any page that its user opens would get there, too: browsers send simple requests and open WebSockets wherever a page wants, and a page's own host can be
// made to lead to this machine.
bool is_of_foreign_page(const net::HttpHeaders& headers);

// The host that a request is for, in lower case and without its port; empty: it names none.
std::string asked_host(const net::HttpHeaders& headers);
// Whether somebody else may have given that name to this machine. A page whose name leads here by then is at home for its browser, which sends
// what it reads without an Origin, and any Authorization that the page makes up.
bool is_foreign_name(std::string_view host);

}  // namespace iotcore::server
