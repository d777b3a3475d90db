package command

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"maps"
	"strconv"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/gatehouse-dev/gatehouse/cmd/gatehouse/keytext"
	"github.com/gatehouse-dev/gatehouse/controllers/keysecret"
)

// What marks a Secret as that of a key.
const (
	keyLabel      = "gatehouse.dev/api-key"
	keyType       = corev1.SecretType("gatehouse.dev/api-key")
	keyAnnotation = "gatehouse.dev/"
)

// made is what key new is asked for.
type made struct {
	name, purpose, subject, owner, plan string
	scopes                              []string
	labels                              map[string]string
	notBefore, expires                  string
}

// secret is the Secret of a key. Without a label no policy could select it.
func (m *made) secret(text string, now time.Time) (*corev1.Secret, error) {
	if m.purpose == "" && len(m.labels) == 0 {
		return nil, fmt.Errorf("say which AuthPolicy is to accept the key: --for VALUE for the label %s, or --label", keyLabel)
	}
	s := &corev1.Secret{
		TypeMeta:   metav1.TypeMeta{APIVersion: "v1", Kind: "Secret"},
		ObjectMeta: metav1.ObjectMeta{Name: m.name, Labels: maps.Clone(m.labels), Annotations: map[string]string{}},
		Type:       keyType,
	}
	if s.Labels == nil {
		s.Labels = map[string]string{}
	}
	if m.purpose != "" || s.Labels[keyLabel] == "" {
		s.Labels[keyLabel] = m.purpose
	}
	if err := keytext.Check(s.Name, s.Labels); err != nil {
		return nil, err
	}
	from, until, err := keytext.Life(m.notBefore, m.expires, now)
	if err != nil {
		return nil, err
	}
	for name, value := range map[string]string{
		"subject": m.subject, "owner": m.owner, "plan": m.plan, "scopes": strings.Join(m.scopes, " "), "not-before": from, "expires-at": until,
	} {
		if value != "" {
			s.Annotations[keyAnnotation+name] = value
		}
	}
	setKey(s, text)
	return s, nil
}

// setKey makes text the key that s holds the hash of.
func setKey(s *corev1.Secret, text string) {
	sum := sha256.Sum256([]byte(text))
	s.Data = nil
	s.StringData = map[string]string{"keyHash": "sha256:" + hex.EncodeToString(sum[:])}
}

// expire sets when the key ends to count, unless it ends sooner.
func expire(s *corev1.Secret, at time.Time) {
	if key, err := keysecret.ParseAPIKey(s); err == nil && key.Expires != 0 && key.Expires <= at.Unix() {
		return
	}
	if s.Annotations == nil {
		s.Annotations = map[string]string{}
	}
	s.Annotations[keyAnnotation+"expires-at"] = at.UTC().Format(time.RFC3339)
}

// successor is the Secret of the key that comes after old's, without a key yet.
// all is every key with old's labels.
func successor(old *corev1.Secret, all []corev1.Secret, now time.Time) (*corev1.Secret, error) {
	key, err := keysecret.ParseAPIKey(old)
	if err != nil {
		return nil, fmt.Errorf("secret %s/%s holds no usable key: %w", old.Namespace, old.Name, err)
	}
	live, taken := []string{}, map[string]bool{}
	for i := range all {
		taken[all[i].Name] = true
		if other, err := keysecret.ParseAPIKey(&all[i]); err == nil && other.Subject == key.Subject && describe(&all[i], now).State == "live" {
			live = append(live, all[i].Name)
		}
	}
	if len(live) > 1 {
		return nil, fmt.Errorf("%s/%s: %w: %s", old.Namespace, old.Name, errTwoLive, strings.Join(live, ", "))
	}
	next := &corev1.Secret{
		TypeMeta:   metav1.TypeMeta{APIVersion: "v1", Kind: "Secret"},
		ObjectMeta: metav1.ObjectMeta{Namespace: old.Namespace, Labels: maps.Clone(old.Labels), Annotations: map[string]string{}},
		Type:       keyType,
	}
	for name, value := range old.Annotations {
		if strings.HasPrefix(name, keyAnnotation) {
			next.Annotations[name] = value
		}
	}
	next.Annotations[keyAnnotation+"subject"] = key.Subject // it was the Secret's name
	// The times were the old key's; a new one begins at once, and lives as long.
	delete(next.Annotations, keyAnnotation+"not-before")
	if key.Expires != 0 {
		begin := max(key.NotBefore, old.CreationTimestamp.Unix())
		next.Annotations[keyAnnotation+"expires-at"] = now.Add(time.Duration(key.Expires-begin) * time.Second).UTC().Format(time.RFC3339)
	}
	base, n := keytext.Numbered(old.Name)
	for next.Name = ""; next.Name == ""; {
		if n++; !taken[base+"-"+strconv.Itoa(n)] {
			next.Name = base + "-" + strconv.Itoa(n)
		}
	}
	return next, nil
}
