-- The load of the benchmark: GETs of one address with the headers of a browser, the sessions in
-- rotation. `wrk -s rotate.lua <url> -- <file>`; every line of the file is a `Cookie` header, or an
-- `Authorization` header for the direct call (with its name).

local fields = {
  ["User-Agent"] = "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0",
  ["Accept"] = "application/json",
  ["Accept-Language"] = "en-GB,en;q=0.5",
  ["Accept-Encoding"] = "gzip, deflate, br, zstd",
  ["Sec-Fetch-Site"] = "same-origin",
  ["Sec-Fetch-Mode"] = "cors",
  ["Sec-Fetch-Dest"] = "empty",
}
local requests, at = {}, 0

function init(args)
  for line in io.lines(args[1]) do
    local name, value = line:match("^([%w-]+): (.*)$")
    local headers = {}
    for key, text in pairs(wrk.headers) do headers[key] = text end
    for key, text in pairs(fields) do headers[key] = text end
    headers[name] = value
    requests[#requests + 1] = wrk.format("GET", nil, headers)
  end
end

function request()
  at = at % #requests + 1
  return requests[at]
end

function done(summary, latency)
  local errors = summary.errors
  io.write(string.format(
    '{"requests":%d,"microseconds":%d,"bytes":%d,"failed":%d,"p50":%d,"p99":%d}\n',
    summary.requests, summary.duration, summary.bytes,
    errors.connect + errors.read + errors.write + errors.status + errors.timeout,
    latency:percentile(50), latency:percentile(99)
  ))
end
