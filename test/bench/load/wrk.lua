-- Writes wrk's totals as one line of JSON. There is no request or response
-- function, so wrk sends prepared bytes and runs no Lua per request.
function done(summary, latency, _)
  local e = summary.errors
  io.write(string.format(
    '{"requests":%d,"microseconds":%d,"refused":%d,"broken":%d,"bytes":%d}\n',
    summary.requests, summary.duration, e.status, e.connect + e.read + e.write + e.timeout, summary.bytes))
end
