-- Posts the event that insert_event.sql inserts, and counts responses other than 201.
wrk.method = "POST"
wrk.headers["Authorization"] = "Bearer " .. os.getenv("BENCH_KEY")
wrk.headers["Content-Type"] = "application/json"
wrk.body = [[{"eventType":"file.opened","resourceType":"file","action":"open","details":{"path":"/srv/reports/2026/summary.pdf","size":48213,"session":"b7d1c2"},"ipAddress":"192.0.2.7","status":"success","durationMs":12,"createdBy":"app"}]]

local threads = {}
function setup(thread) table.insert(threads, thread) end
function init() refused = 0 end
function response(status) if status ~= 201 then refused = refused + 1 end end
function done()
  local refused = 0
  for _, thread in ipairs(threads) do refused = refused + thread:get("refused") end
  io.write(string.format("refused %d\n", refused))
end
