package exchange

import (
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/hex"
	"sync/atomic"
	"time"
)

// Client is the certificate a client showed for its connection, read once. It
// counts for nothing unless Verified.
type Client struct {
	Chain      []*x509.Certificate // as shown, the client's own first
	Subject    string              // distinguished name (RFC 4514): "CN=orders,O=Shop"
	Issuer     string              // the same of who signed it
	CommonName string              // of Subject
	Serial     string              // decimal
	DNSNames   []string            // subject alternative names, by kind
	URIs       []string            // "spiffe://shop.example/orders"
	Emails     []string            //
	IPs        []string            //
	SHA256     string              // of the certificate, lower-case hexadecimal
	SPKI       string              // SHA-256 of its public key, base64: a pin as in RFC 7469
	NotAfter   time.Time           //

	judged atomic.Pointer[Judgement]
}

// Judgement is what certain authorities make of a Client.
type Judgement struct {
	By [32]byte // which authorities
	OK bool     // one of them vouches for it
}

// NewClient reads what a client showed, which is not empty.
func NewClient(chain []*x509.Certificate) *Client {
	leaf := chain[0]
	whole, key := sha256.Sum256(leaf.Raw), sha256.Sum256(leaf.RawSubjectPublicKeyInfo)
	c := &Client{
		Chain: chain, Subject: leaf.Subject.String(), Issuer: leaf.Issuer.String(), CommonName: leaf.Subject.CommonName,
		Serial: leaf.SerialNumber.String(), DNSNames: leaf.DNSNames, Emails: leaf.EmailAddresses,
		SHA256: hex.EncodeToString(whole[:]), SPKI: base64.StdEncoding.EncodeToString(key[:]), NotAfter: leaf.NotAfter,
	}
	for _, uri := range leaf.URIs {
		c.URIs = append(c.URIs, uri.String())
	}
	for _, ip := range leaf.IPAddresses {
		c.IPs = append(c.IPs, ip.String())
	}
	return c
}

// Judged returns the latest judgement; nil before the first.
func (c *Client) Judged() *Judgement { return c.judged.Load() }

// Judge replaces the judgement. Requests of one connection may do so at the same
// time.
func (c *Client) Judge(j *Judgement) { c.judged.Store(j) }

// Verified reports whether an authority of the listener vouches for the
// certificate. It holds of the listener that took the request under way.
func (c *Client) Verified() bool {
	if c == nil {
		return false
	}
	j := c.judged.Load()
	return j != nil && j.OK
}
