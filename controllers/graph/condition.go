package graph

import metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

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
func observed(generation int64, conditions []metav1.Condition) {
	for i := range conditions {
		conditions[i].ObservedGeneration = generation
	}
}

func holds(conditions []metav1.Condition, kind string) bool {
	for i := range conditions {
		if conditions[i].Type == kind {
			return conditions[i].Status == metav1.ConditionTrue
		}
	}
	return false
}
