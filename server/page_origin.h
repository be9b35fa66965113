#pragma once

#include "net/http_message.h"

namespace iotcore::server {

// Whether a browser sends this for a page that does not come from this machine. Where everybody may do everything since nobody but this machine gets there,
// any page that its user opens would get there, too: browsers send simple requests and open WebSockets wherever a page wants, and a page's own host can be
// made to lead to this machine.
bool is_of_foreign_page(const net::HttpHeaders& headers);

}  // namespace iotcore::server
