-- PUT <path>1 … <path>5 in turn, each with a new value of the same length.
dofile(debug.getinfo(1, "S").source:match("^@(.*/)") .. "report.lua")

local heads, count = {}, 0

local function body(number)
    return string.format('{"value":"value-%010d"}', number)
end

-- The heads are made once, so that wrk takes as little of the processor as it can.
function init()
    local sample = body(0)
    for key = 1, 5 do
        local request = wrk.format("PUT", wrk.path .. key, { ["Content-Type"] = "application/json",
            Host = wrk.headers["Host"] }, sample)
        heads[key] = request:sub(1, #request - #sample)
    end
end

function request()
    count = count + 1
    return heads[count % 5 + 1] .. body(count)
end
