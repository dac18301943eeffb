-- Where another controller manages the object (cluster.x-k8s.io/managed-by) there are no conditions: provisioned says it for both.
local hs = { status = "Progressing", message = "Waiting for the operator" }

if obj.status ~= nil then
  if obj.status.conditions ~= nil then
    for _, condition in ipairs(obj.status.conditions) do
      if condition.type == "Paused" and condition.status == "True" then
        return { status = "Suspended", message = condition.message }
      end
    end
  end
  if obj.status.initialization ~= nil and obj.status.initialization.provisioned then
    hs = { status = "Healthy", message = "The infrastructure of the cluster is ready" }
  end
end

return hs
