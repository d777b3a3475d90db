package graph

import (
	"fmt"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// maxSentences is how many problems one condition spells out; a condition's
// message may have 32768 bytes.
const maxSentences = 8

// condition makes a condition without its time: when it last changed is the
// status writer's to know.
func condition[T, R ~string](kind T, status metav1.ConditionStatus, reason R, message string) metav1.Condition {
	return metav1.Condition{Type: string(kind), Status: status, Reason: string(reason), Message: message}
}

func yes[T, R ~string](kind T, reason R, message string) metav1.Condition {
	return condition(kind, metav1.ConditionTrue, reason, message)
}

func no[T, R ~string](kind T, reason R, message string) metav1.Condition {
	return condition(kind, metav1.ConditionFalse, reason, message)
}

// observed stamps the generation the conditions were derived from.
func observed(generation int64, conditions []metav1.Condition) []metav1.Condition {
	for i := range conditions {
		conditions[i].ObservedGeneration = generation
	}
	return conditions
}

func holds(conditions []metav1.Condition, kind string) bool {
	for i := range conditions {
		if conditions[i].Type == kind {
			return conditions[i].Status == metav1.ConditionTrue
		}
	}
	return false
}

// problem is something that is wrong with an object: the reason for a
// condition, and a sentence that names the field and the fix.
type problem struct {
	reason string
	text   string
}

func problemf[R ~string](reason R, format string, args ...any) *problem {
	return &problem{string(reason), fmt.Sprintf(format, args...)}
}

// sentences joins problems to one message, under the reason of the first.
func sentences(problems []*problem) *problem {
	if len(problems) == 0 {
		return nil
	}
	texts := make([]string, 0, maxSentences+1)
	for i, p := range problems {
		if i == maxSentences {
			texts = append(texts, fmt.Sprintf("and %d more", len(problems)-i))
			break
		}
		texts = append(texts, p.text)
	}
	return &problem{problems[0].reason, strings.Join(texts, "; ")}
}
