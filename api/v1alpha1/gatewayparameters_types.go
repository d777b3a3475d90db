package v1alpha1

import (
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"
)

// GatewayParameters says what the Service that is kept for a Gateway looks like, and how clients reach its listeners. A GatewayClass names one in spec.parametersRef for all
// its Gateways, a Gateway in spec.infrastructure.parametersRef for itself; what a Gateway's sets counts before what the class's sets,
// field by field. It has no status of its own: what is wrong with it stands in the conditions of those that name it.
//
// +kubebuilder:object:root=true
// +kubebuilder:storageversion
// +kubebuilder:resource:path=gatewayparameters,singular=gatewayparameters,scope=Namespaced,categories=gateway-api;gatehouse
// +kubebuilder:printcolumn:name="Type",type=string,JSONPath=`.spec.service.type`
// +kubebuilder:printcolumn:name="Class",type=string,JSONPath=`.spec.service.loadBalancerClass`
// +kubebuilder:printcolumn:name="Traffic",type=string,JSONPath=`.spec.service.externalTrafficPolicy`
// +kubebuilder:printcolumn:name="Age",type=date,JSONPath=`.metadata.creationTimestamp`
type GatewayParameters struct {
	metav1.TypeMeta `json:",inline"`
	// metadata is standard object metadata.
	//
	// +optional
	metav1.ObjectMeta `json:"metadata,omitempty"`

	// spec is what is settled.
	//
	// +required
	Spec GatewayParametersSpec `json:"spec"`
}

// GatewayParametersList is a list of GatewayParameters.
//
// +kubebuilder:object:root=true
type GatewayParametersList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitempty"`
	Items           []GatewayParameters `json:"items"`
}

// GatewayParametersSpec is what GatewayParameters settle.
type GatewayParametersSpec struct {
	// service settles the Service of a Gateway. A field that is not set is left to what the Service has.
	//
	// +optional
	Service ServiceParameters `json:"service,omitempty,omitzero"`

	// clients settles how clients reach the listeners of a Gateway.
	//
	// +optional
	Clients ClientParameters `json:"clients,omitempty,omitzero"`
}

// ClientParameters say how clients reach the listeners of a Gateway.
type ClientParameters struct {
	// proxyProtocol makes the load balancers in front tell who the client is, by a PROXY header (version 1 or 2) at the beginning of
	// each TCP connection, before TLS. Without it no header is read.
	//
	// +optional
	ProxyProtocol *ProxyProtocol `json:"proxyProtocol,omitempty"`

	// limits are what clients may use of each port of the Gateway.
	//
	// +optional
	Limits ClientLimits `json:"limits,omitempty,omitzero"`

	// ports give some ports limits of their own; what one leaves out is as in limits.
	//
	// +optional
	// +listType=map
	// +listMapKey=port
	// +kubebuilder:validation:MaxItems=64
	Ports []PortParameters `json:"ports,omitempty"`
}

// PortParameters are what is settled for the listeners of one port.
type PortParameters struct {
	// port of the listeners.
	//
	// +required
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=65535
	Port int32 `json:"port"`

	// limits are what clients may use of the port.
	//
	// +required
	Limits ClientLimits `json:"limits"`
}

// ClientLimits bound what clients may use of a port, in each gatehouse process. What the process allows everybody, by its flags, is never exceeded: a limit above that changes
// nothing. A change counts for connections that begin after it; of maxRequestsInFlight, at once.
type ClientLimits struct {
	// maxConnections is how many connections are open at one time. Further ones are closed; where HTTP is spoken in the clear they are
	// told 503.
	//
	// +optional
	// +kubebuilder:validation:Minimum=1
	MaxConnections *int32 `json:"maxConnections,omitempty"`

	// maxConnectionsPerClient is the same for one client: an IPv4 address, or the /64 of an IPv6 address. With proxyProtocol the
	// address is the one that the PROXY header says.
	//
	// +optional
	// +kubebuilder:validation:Minimum=1
	MaxConnectionsPerClient *int32 `json:"maxConnectionsPerClient,omitempty"`

	// maxRequestsInFlight is how many requests are under way at one time. Further ones are answered 503.
	//
	// +optional
	// +kubebuilder:validation:Minimum=1
	MaxRequestsInFlight *int32 `json:"maxRequestsInFlight,omitempty"`

	// maxConcurrentStreams is how many requests are under way at one time on one connection of HTTP/2 or HTTP/3.
	//
	// +optional
	// +kubebuilder:validation:Minimum=1
	MaxConcurrentStreams *int32 `json:"maxConcurrentStreams,omitempty"`

	// maxRequestHeaderBytes is the size of a request's head. A larger one is answered 431.
	//
	// +optional
	// +kubebuilder:validation:Minimum=1024
	MaxRequestHeaderBytes *int32 `json:"maxRequestHeaderBytes,omitempty"`

	// maxRequestBodyBytes is the size of a request's content. More is answered 413. It does not bound streams of gRPC.
	//
	// +optional
	// +kubebuilder:validation:Minimum=1
	MaxRequestBodyBytes *int64 `json:"maxRequestBodyBytes,omitempty"`

	// headerTimeout is the time for a request's head to arrive, from its first byte; then 408.
	//
	// +optional
	HeaderTimeout *gatewayv1.Duration `json:"headerTimeout,omitempty"`

	// bodyTimeout is the time for the next piece of a request's content to arrive; then 408.
	//
	// +optional
	BodyTimeout *gatewayv1.Duration `json:"bodyTimeout,omitempty"`

	// idleTimeout is the time for which a connection may be without a request; then it is closed.
	//
	// +optional
	IdleTimeout *gatewayv1.Duration `json:"idleTimeout,omitempty"`

	// writeTimeout is the time for a client to take 32 KiB of an answer; then the connection is closed.
	//
	// +optional
	WriteTimeout *gatewayv1.Duration `json:"writeTimeout,omitempty"`
}

// ProxyProtocolMode says what becomes of connections without a PROXY header.
//
// +kubebuilder:validation:Enum=Required;Optional
type ProxyProtocolMode string

// The modes. Required closes connections without a header, and those that do not come from a trusted address; Optional serves them
// under the address they come from.
const (
	ProxyProtocolRequired ProxyProtocolMode = "Required"
	ProxyProtocolOptional ProxyProtocolMode = "Optional"
)

// ProxyProtocol says whose PROXY headers are believed.
type ProxyProtocol struct {
	// mode is Required (default): every connection comes from a trusted address and begins with a header, others are closed; or
	// Optional: others are served under the address they come from.
	//
	// +optional
	// +kubebuilder:default=Required
	Mode ProxyProtocolMode `json:"mode,omitempty"`

	// trusted are the addresses that the load balancers connect from, in CIDR notation. Whoever connects from there can claim to be
	// anyone.
	//
	// +required
	// +listType=atomic
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=64
	// +kubebuilder:validation:items:MaxLength=43
	// +kubebuilder:validation:XValidation:rule="self.all(r, isCIDR(r))",message="a range must be in CIDR notation, such as 192.0.2.0/24"
	Trusted []string `json:"trusted,omitempty"`
}

// ServiceParameters are fields of a Service's metadata and spec, with the meaning they have there.
//
// +kubebuilder:validation:XValidation:rule="!has(self.type) || self.type == 'LoadBalancer' || !has(self.loadBalancerClass)",message="loadBalancerClass goes with type LoadBalancer only; remove it or change the type"
// +kubebuilder:validation:XValidation:rule="!has(self.type) || self.type == 'LoadBalancer' || !has(self.loadBalancerSourceRanges)",message="loadBalancerSourceRanges go with type LoadBalancer only; remove them or change the type"
// +kubebuilder:validation:XValidation:rule="!has(self.type) || self.type != 'ClusterIP' || !has(self.externalTrafficPolicy)",message="externalTrafficPolicy goes with types LoadBalancer and NodePort only; remove it or change the type"
// +kubebuilder:validation:XValidation:rule="!has(self.type) || self.type != 'ClusterIP' || !has(self.nodePorts)",message="nodePorts go with types LoadBalancer and NodePort only; remove them or change the type"
// +kubebuilder:validation:XValidation:rule="!has(self.ipFamilyPolicy) || self.ipFamilyPolicy != 'SingleStack' || !has(self.ipFamilies) || size(self.ipFamilies) == 1",message="ipFamilyPolicy SingleStack takes one of ipFamilies; remove the other or change the policy"
type ServiceParameters struct {
	// type of the Service: LoadBalancer (default), NodePort or ClusterIP.
	//
	// +optional
	// +kubebuilder:validation:Enum=LoadBalancer;NodePort;ClusterIP
	Type corev1.ServiceType `json:"type,omitempty"`

	// loadBalancerClass chooses among the load balancer implementations of the cluster. It can be changed: the Service is of type
	// NodePort for a moment then, because it cannot pass from one class to another.
	//
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	LoadBalancerClass *string `json:"loadBalancerClass,omitempty"`

	// labels of the Service. Those of the Gateway's spec.infrastructure count before these.
	//
	// +optional
	// +kubebuilder:validation:MaxProperties=16
	Labels map[gatewayv1.LabelKey]gatewayv1.LabelValue `json:"labels,omitempty"`

	// annotations of the Service. Those of the Gateway's spec.infrastructure count before these.
	//
	// +optional
	// +kubebuilder:validation:MaxProperties=32
	Annotations map[gatewayv1.AnnotationKey]gatewayv1.AnnotationValue `json:"annotations,omitempty"`

	// externalTrafficPolicy is Cluster, or Local: callers from outside reach the gatehouse pods of the node they came to, and their
	// addresses are seen.
	//
	// +optional
	// +kubebuilder:validation:Enum=Cluster;Local
	ExternalTrafficPolicy corev1.ServiceExternalTrafficPolicy `json:"externalTrafficPolicy,omitempty"`

	// internalTrafficPolicy is Cluster, or Local: callers in the cluster reach the gatehouse pods of their own node.
	//
	// +optional
	// +kubebuilder:validation:Enum=Cluster;Local
	InternalTrafficPolicy corev1.ServiceInternalTrafficPolicy `json:"internalTrafficPolicy,omitempty"`

	// sessionAffinity is None, or ClientIP: a caller stays with one pod.
	//
	// +optional
	// +kubebuilder:validation:Enum=None;ClientIP
	SessionAffinity corev1.ServiceAffinity `json:"sessionAffinity,omitempty"`

	// ipFamilyPolicy says whether the Service has addresses of both families. Without it the Service has what the cluster can give.
	//
	// +optional
	// +kubebuilder:validation:Enum=SingleStack;PreferDualStack;RequireDualStack
	IPFamilyPolicy corev1.IPFamilyPolicy `json:"ipFamilyPolicy,omitempty"`

	// ipFamilies are the families, the first of them in front. Another first one makes the Service anew, with other addresses.
	//
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=2
	// +kubebuilder:validation:items:Enum=IPv4;IPv6
	// +kubebuilder:validation:XValidation:rule="size(self) == 1 || self[0] != self[1]",message="the same family is named twice; remove one"
	IPFamilies []corev1.IPFamily `json:"ipFamilies,omitempty"`

	// loadBalancerSourceRanges are the addresses that may call, in CIDR notation, where the load balancer heeds them.
	//
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=64
	// +kubebuilder:validation:items:MaxLength=43
	// +kubebuilder:validation:XValidation:rule="self.all(r, isCIDR(r))",message="a range must be in CIDR notation, such as 192.0.2.0/24"
	LoadBalancerSourceRanges []string `json:"loadBalancerSourceRanges,omitempty"`

	// nodePorts fixes the node ports of some ports. The others get what the cluster assigns.
	//
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=64
	// +kubebuilder:validation:XValidation:rule="self.all(a, self.exists_one(b, a.port == b.port && a.protocol == b.protocol))",message="the same port is named twice; remove one"
	// +kubebuilder:validation:XValidation:rule="self.all(a, self.exists_one(b, a.nodePort == b.nodePort && a.protocol == b.protocol))",message="two ports have the same nodePort; give each its own"
	NodePorts []NodePort `json:"nodePorts,omitempty"`
}

// NodePort is a port of a Service and the port that the nodes listen on for it.
type NodePort struct {
	// port of the listeners.
	//
	// +required
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=65535
	Port int32 `json:"port"`

	// protocol is TCP (default), or UDP for listeners of that protocol.
	//
	// +optional
	// +kubebuilder:default=TCP
	// +kubebuilder:validation:Enum=TCP;UDP
	Protocol corev1.Protocol `json:"protocol,omitempty"`

	// nodePort is the port of the nodes, of the range the cluster has for them.
	//
	// +required
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=65535
	NodePort int32 `json:"nodePort"`
}
