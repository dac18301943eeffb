-- Ready sums up: True if the host can be handed out or serves its machine, Unknown while it is cleaned, False if it is quarantined, a
-- duplicate, or does not answer.
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
