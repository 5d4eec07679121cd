-- Sends the requests of a file in turn, and prints what wrk measured as JSON.
-- The file: a line each with the method, the path, and the JSON body or "-". A "{n}" in path and body becomes a number used once.
local requests, turn, count = {}, 0, 0

function init(arguments)
    for line in io.lines(arguments[1]) do
        local method, path, body = line:match("^(%S+) (%S+) (.+)$")
        requests[#requests + 1] = {method, path, body ~= "-" and body or nil}
    end
    wrk.headers["Authorization"] = arguments[2]
    wrk.headers["Content-Type"] = "application/json"
    count = tonumber(arguments[3])
end

function request()
    turn = turn % #requests + 1
    count = count + 1
    local method, path, body = unpack(requests[turn])
    path = path:gsub("{n}", tostring(count))
    if body then body = body:gsub("{n}", tostring(count)) end
    return wrk.format(method, path, nil, body)
end

local statuses = {}
function response(status)
    if status >= 300 then refused = (refused or 0) + 1 end
end

local threads = {}
function setup(thread) threads[#threads + 1] = thread end

function done(summary, latency)
    local refusals = 0
    for _, thread in ipairs(threads) do refusals = refusals + (thread:get("refused") or 0) end
    io.write(string.format(
        '{"requests": %d, "seconds": %f, "refused": %d, "failed": %d, "p50": %f, "p95": %f, "p99": %f}\n',
        summary.requests, summary.duration / 1e6, refusals,
        summary.errors.connect + summary.errors.read + summary.errors.write + summary.errors.timeout,
        latency:percentile(50) / 1000, latency:percentile(95) / 1000, latency:percentile(99) / 1000))
end
