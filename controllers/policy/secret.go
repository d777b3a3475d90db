package policy

import (
	"fmt"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
)

// SecretField returns what the Secret of a credential says under name: its
// annotation gatehouse.dev/NAME, or its data; "" for nothing.
func SecretField(s *corev1.Secret, name string) string {
	if v := s.Annotations["gatehouse.dev/"+name]; v != "" {
		return strings.TrimSpace(v)
	}
	return strings.TrimSpace(string(s.Data[name]))
}

// SecretTime reads a field as a time, in Unix seconds; 0 for none.
func SecretTime(s *corev1.Secret, name string) (int64, error) {
	v := SecretField(s, name)
	if v == "" {
		return 0, nil
	}
	t, err := time.Parse(time.RFC3339, v)
	if err != nil {
		return 0, fmt.Errorf("%s is not a time such as 2026-01-31T00:00:00Z", name)
	}
	return max(t.Unix(), 1), nil // 0 would read as none
}
