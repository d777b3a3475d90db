// Package spec reads the specs of Gateway API objects one by one: what they mean
// with their defaults, and what is wrong with them, whatever else is in the
// cluster.
//
// graph asks it before it looks for what the specs refer to. It calls nothing.
// What the schemas of the CRDs refuse is checked again here, because objects
// from manifests have met no API server.
package spec

import (
	"fmt"
	"strings"
)

// maxSentences is how many problems one message spells out; a condition's
// message may have 32768 bytes.
const maxSentences = 8

// Problem is something that is wrong with an object: the reason for a condition,
// and a sentence that names the field and the fix.
type Problem struct {
	Reason string
	Text   string
}

// Problemf makes a Problem.
func Problemf[R ~string](reason R, format string, args ...any) *Problem {
	return &Problem{string(reason), fmt.Sprintf(format, args...)}
}

// Sentences joins problems to one, under the reason of the first; nil for none.
func Sentences(problems []*Problem) *Problem {
	if len(problems) == 0 {
		return nil
	}
	texts := make([]string, 0, maxSentences+1)
	for i, p := range problems {
		if i == maxSentences {
			texts = append(texts, fmt.Sprintf("and %d more", len(problems)-i))
			break
		}
		texts = append(texts, p.Text)
	}
	return &Problem{problems[0].Reason, strings.Join(texts, "; ")}
}

// List writes a few values for a message: "80, 443", or "none".
func List(values []string) string {
	if len(values) == 0 {
		return "none"
	}
	if len(values) > maxSentences {
		return strings.Join(values[:maxSentences], ", ") + " and more"
	}
	return strings.Join(values, ", ")
}
