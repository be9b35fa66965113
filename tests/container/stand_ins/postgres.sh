# What the image `postgres` does: a database by the environment, in its volume.
set -e
data=/var/lib/postgresql/data/pgdata
as() { setpriv --reuid postgres --regid postgres --clear-groups "$@"; }
chown postgres:postgres /var/lib/postgresql/data
if [ ! -e $data/PG_VERSION ]; then
  printf %s "$POSTGRES_PASSWORD" >/tmp/password
  chown postgres /tmp/password
  as initdb -D $data -U "$POSTGRES_USER" --auth-host=scram-sha-256 --auth-local=trust --pwfile=/tmp/password >/dev/null
  echo "host all all all scram-sha-256" >>$data/pg_hba.conf
  echo "CREATE DATABASE $POSTGRES_DB;" | as postgres --single -D $data postgres >/dev/null
fi
exec setpriv --reuid postgres --regid postgres --clear-groups postgres -D $data -c listen_addresses='*' -k /var/run/postgresql
