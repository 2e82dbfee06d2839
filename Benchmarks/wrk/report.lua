-- One line that a script can read: requests, duration, p50, p99 (all times in µs), failures.
-- `status` counts answers above 399. A redirect cannot hide: Benchmarks/http asks for 200 before each load.
function done(summary, latency)
    local e = summary.errors
    local failures = e.connect + e.read + e.write + e.status + e.timeout
    io.write(string.format("result %d %d %d %d %d\n", summary.requests, summary.duration,
        latency:percentile(50), latency:percentile(99), failures))
end
