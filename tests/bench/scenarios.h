#pragma once

#include "tests/bench/link.h"
#include "tests/bench/options.h"
#include "tests/bench/record.h"

namespace iotcore::bench {

// Each measures one regime against the server at the options' port and adds its figures to the
// record. `tls` may be null. The definitions are in docs/performance.md.
void pairs(const Options& options, TlsClient* tls, Record& record);
void fan_in(const Options& options, TlsClient* tls, Record& record);
void fan_out(const Options& options, TlsClient* tls, Record& record);
void one_topic(const Options& options, TlsClient* tls, Record& record);
void latency(const Options& options, TlsClient* tls, Record& record);
void connect_storm(const Options& options, TlsClient* tls, Record& record);
void idle_memory(const Options& options, TlsClient* tls, Record& record);
void subscriptions(const Options& options, TlsClient* tls, Record& record);
void retained(const Options& options, TlsClient* tls, Record& record);
void https_publish(const Options& options, TlsClient* tls, Record& record);
void neighbours(const Options& options, TlsClient* tls, Record& record);
void shadow_updates(const Options& options, TlsClient* tls, Record& record);
void shadow_gets(const Options& options, TlsClient* tls, Record& record);
void ingest(const Options& options, TlsClient* tls, Record& record);

}  // namespace iotcore::bench
