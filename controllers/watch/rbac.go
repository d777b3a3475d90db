package watch

// What the controllers may do in a cluster. `make manifests` writes config/rbac/role.yaml from these lines; test/envtest proves that
// they suffice.

// Read: everything the graph is built from.
//
//+kubebuilder:rbac:groups=gateway.networking.k8s.io,resources=gatewayclasses;gateways;listenersets;httproutes;grpcroutes;tlsroutes;tcproutes;udproutes;referencegrants;backendtlspolicies,verbs=get;list;watch
//+kubebuilder:rbac:groups=networking.k8s.io,resources=ingresses;ingressclasses,verbs=get;list;watch
//+kubebuilder:rbac:groups=gateway.networking.x-k8s.io,resources=xbackendtrafficpolicies,verbs=get;list;watch
//+kubebuilder:rbac:groups=gateway.networking.x-k8s.io,resources=xbackends,verbs=get;list;watch
//+kubebuilder:rbac:groups=gatehouse.dev,resources=authpolicies;validationpolicies;gatewayparameters,verbs=get;list;watch
//+kubebuilder:rbac:groups="",resources=services;secrets;configmaps;namespaces,verbs=get;list;watch
//+kubebuilder:rbac:groups=discovery.k8s.io,resources=endpointslices,verbs=get;list;watch

// Read: the addresses of the node it runs on, in host-network mode.
//
//+kubebuilder:rbac:groups="",resources=nodes,verbs=get

// Read: which release of the Gateway API the cluster has.
//
//+kubebuilder:rbac:groups=apiextensions.k8s.io,resources=customresourcedefinitions,resourceNames=gatewayclasses.gateway.networking.k8s.io,verbs=get

// Write: statuses, by the leader, and Events.
//
//+kubebuilder:rbac:groups=gateway.networking.k8s.io,resources=gatewayclasses/status;gateways/status;listenersets/status;backendtlspolicies/status,verbs=update
//+kubebuilder:rbac:groups=gateway.networking.k8s.io,resources=httproutes/status;grpcroutes/status;tlsroutes/status;tcproutes/status;udproutes/status,verbs=update
//+kubebuilder:rbac:groups=networking.k8s.io,resources=ingresses/status,verbs=update
//+kubebuilder:rbac:groups=gateway.networking.x-k8s.io,resources=xbackendtrafficpolicies/status,verbs=update
//+kubebuilder:rbac:groups=gateway.networking.x-k8s.io,resources=xbackends/status,verbs=update
//+kubebuilder:rbac:groups=gatehouse.dev,resources=authpolicies/status;validationpolicies/status,verbs=update
//+kubebuilder:rbac:groups=events.k8s.io,resources=events,verbs=create;patch

// Ask: whose a token is, and what a caller may do, where an AuthPolicy says kubernetes.
//
//+kubebuilder:rbac:groups=authentication.k8s.io,resources=tokenreviews,verbs=create
//+kubebuilder:rbac:groups=authorization.k8s.io,resources=subjectaccessreviews,verbs=create

// Write: the Services of Gateways and their endpoints, by the leader.
//
//+kubebuilder:rbac:groups="",resources=services,verbs=create;update;delete
//+kubebuilder:rbac:groups=discovery.k8s.io,resources=endpointslices,verbs=create;update;delete

// Read: the replicas' own pods.
//
//+kubebuilder:rbac:groups="",resources=pods,verbs=get;list;watch,namespace=gatehouse-system

// Write: the keys that session tokens and TLS session tickets are sealed with, and tokens for backends signed, by the leader. All but the first change.
//
//+kubebuilder:rbac:groups="",resources=secrets,verbs=create,namespace=gatehouse-system
//+kubebuilder:rbac:groups="",resources=secrets,resourceNames=gatehouse-ticket-keys;gatehouse-signing-keys,verbs=update,namespace=gatehouse-system

// Write: the public keys that tokens are verified with, as last fetched, by the leader.
//
//+kubebuilder:rbac:groups="",resources=configmaps,verbs=create,namespace=gatehouse-system
//+kubebuilder:rbac:groups="",resources=configmaps,resourceNames=gatehouse-key-sets,verbs=update,namespace=gatehouse-system

// Leader election, in Gatehouse's own namespace.
//
//+kubebuilder:rbac:groups=coordination.k8s.io,resources=leases,verbs=create,namespace=gatehouse-system
//+kubebuilder:rbac:groups=coordination.k8s.io,resources=leases,resourceNames=gatehouse-leader,verbs=get;update,namespace=gatehouse-system
