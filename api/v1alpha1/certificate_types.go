package v1alpha1

// ClientCertificateAuthentication says which TLS client certificates are good, of those that an authority of the listener
// (the Gateway's spec.tls.frontend) vouches for.
type ClientCertificateAuthentication struct {
	// match: the certificate must fit one of these. Default: any certificate that the listener has verified.
	//
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=32
	Match []CertificateMatch `json:"match,omitempty"`
}

// CertificateMatch describes certificates. All that is set must hold.
//
// +kubebuilder:validation:XValidation:rule="has(self.san) || has(self.subject) || has(self.commonName) || has(self.spkiSHA256)",message="set at least one of san, subject, commonName and spkiSHA256"
type CertificateMatch struct {
	// san is a subject alternative name that the certificate must have.
	//
	// +optional
	SAN *CertificateSAN `json:"san,omitempty"`

	// subject is the whole distinguished name as RFC 4514 writes it, and auth.claims.subject shows it: CN=orders,O=Shop
	//
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=1024
	Subject string `json:"subject,omitempty"`

	// commonName is the CN of the subject.
	//
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=256
	CommonName string `json:"commonName,omitempty"`

	// spkiSHA256 is the SHA-256 of the certificate's public key (SubjectPublicKeyInfo), in base64 or hexadecimal.
	//
	// +optional
	// +kubebuilder:validation:Pattern=`^([A-Za-z0-9+/]{43}=|[0-9A-Fa-f]{64})$`
	// +kubebuilder:validation:MaxLength=64
	SPKISHA256 string `json:"spkiSHA256,omitempty"`
}

// SANType is a kind of subject alternative name (RFC 5280, section 4.2.1.6).
//
// +kubebuilder:validation:Enum=DNS;URI;Email;IP
type SANType string

// The kinds of subject alternative names.
const (
	SANDNS   SANType = "DNS"
	SANURI   SANType = "URI"
	SANEmail SANType = "Email"
	SANIP    SANType = "IP"
)

// CertificateSAN is a subject alternative name, or a pattern of them.
//
// +kubebuilder:validation:XValidation:rule="!self.value.contains('*') || (self.type == 'DNS' && self.value.matches('^[*][.][^*]+$')) || (self.type == 'URI' && self.value.matches('^[^*]+://[^*/]+/([^*]+/)?[*]$'))",message="a * stands for the first label of a DNS name (*.shop.example) or for the rest of a URI's path (spiffe://shop.example/*), and nowhere else"
type CertificateSAN struct {
	// type of the name.
	//
	// +required
	Type SANType `json:"type"`

	// value of the name. Of type DNS, *.shop.example is any one label before it; of type URI, spiffe://shop.example/*
	// is every path beneath it. Everything else is compared whole.
	//
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=1024
	Value string `json:"value"`
}
