package table

import (
	"fmt"
	"strings"
	"time"
)

// HMAC accepts requests signed with a key both sides share (RFC 9421).
type HMAC struct {
	ID         string        `json:"id"` // what selected the keys: "shop gatehouse.dev/hmac=orders"
	Keys       []*HMACKey    `json:"keys,omitempty"`
	Components []string      `json:"components"` // that a signature must cover: "@method", "date"
	MaxAge     time.Duration `json:"maxAge"`
	MaxBody    int64         `json:"maxBody"` // bytes of content whose digest is compared
}

// HMACKey is one key.
type HMACKey struct {
	ID     string `json:"id"` // its name in signatures
	Key    Secret `json:"-"`
	Holder APIKey `json:"holder"` // who has it; without Hash
}

// String prints "shop gatehouse.dev/hmac=orders keys=2 covers @method,@path age 5m0s".
func (h *HMAC) String() string {
	return fmt.Sprintf("%s keys=%d covers %s age %v", h.ID, len(h.Keys), strings.Join(h.Components, ","), h.MaxAge)
}
