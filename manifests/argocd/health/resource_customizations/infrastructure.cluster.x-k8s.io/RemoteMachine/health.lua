-- Ready sums up: True once the host is provisioned, Unknown while something is awaited or running, False where waiting does not help.
local hs = { status = "Progressing", message = "Waiting for the operator" }
local healthOf = { True = "Healthy", False = "Degraded" }

if obj.status ~= nil and obj.status.conditions ~= nil then
  for _, condition in ipairs(obj.status.conditions) do
    if condition.type == "Paused" and condition.status == "True" then
      return { status = "Suspended", message = condition.message }
    end
    if condition.type == "Ready" then
      hs = { status = healthOf[condition.status] or "Progressing", message = condition.message }
    end
  end
end

return hs
