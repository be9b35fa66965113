#include "server/greeting.h"

#include "server/data_dir.h"

#include <fmt/format.h>

namespace iotcore::server {

std::string to_text(const Greeting& greeting) {
  const std::string data = greeting.data.path().native();
  const std::string credentials = greeting.data.credentials().native();
  std::string out = fmt::format("iotcore {} is ready; its data is in {}\n", greeting.version, data);
  if (greeting.new_administrator) {
    out += fmt::format(
        "\nThe administrator's access key, shown this once (also in {}):\n"
        "  aws_access_key_id     = {}\n  aws_secret_access_key = {}\n",
        credentials,
        greeting.new_administrator->id,
        greeting.new_administrator->secret
    );
  }
  out += "\n";
  if (const std::uint16_t https = greeting.port("https"); https != 0) {
    out += fmt::format(
        "API      https://localhost:{0}\n  AWS_SHARED_CREDENTIALS_FILE={1} \\\n"
        "  aws --endpoint-url https://localhost:{0} --ca-bundle {2} --region {3} iot list-things\n",
        https,
        credentials,
        greeting.data.ca_certificate().native(),
        greeting.region
    );
  }
  if (const std::uint16_t mqtts = greeting.port("mqtts"); mqtts != 0) {
    out += fmt::format(
        "MQTT     mqtts://localhost:{}  (make a device: iotcore thing create NAME --out DIR "
        "--data-dir {})\n",
        mqtts,
        data
    );
  }
  if (const std::uint16_t mqtt = greeting.port("mqtt"); mqtt != 0) {
    out += fmt::format(
        "dev      mqtt://localhost:{}, http://localhost:{} (anybody on this machine may do "
        "everything)\n",
        mqtt,
        greeting.port("http")
    );
  }
  if (const std::uint16_t admin = greeting.port("admin"); admin != 0) {
    out +=
        fmt::format("admin    http://localhost:{}/metrics /healthz /readyz /openapi.json /query\n", admin);
  }
  return out;
}

}  // namespace iotcore::server
