package table

import "fmt"

// OPA allows what a policy in Rego allows (Open Policy Agent), evaluated in
// process.
type OPA struct {
	Policy string `json:"policy"`          // one module of Rego v1
	Query  string `json:"query,omitempty"` // the rule that decides: "data.shop.allow"; empty: allow of the policy's package
	Data   []byte `json:"data,omitempty"`  // a JSON object: what the policy finds as data beside itself
}

// String prints "opa(data.shop.allow, 812 bytes, 20 bytes of data)".
func (o *OPA) String() string {
	query := o.Query
	if query == "" {
		query = "allow"
	}
	out := fmt.Sprintf("opa(%s, %d bytes", query, len(o.Policy))
	if len(o.Data) > 0 {
		out += fmt.Sprintf(", %d bytes of data", len(o.Data))
	}
	return out + ")"
}
