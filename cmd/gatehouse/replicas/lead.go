package replicas

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/go-logr/logr"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	coordinationv1 "k8s.io/client-go/kubernetes/typed/coordination/v1"
	"k8s.io/client-go/tools/leaderelection"
	"k8s.io/client-go/tools/leaderelection/resourcelock"
)

// Lease is the name of the Lease that replicas elect their leader by.
const Lease = "gatehouse-leader"

// Election is how a replica comes to write.
type Election struct {
	Client    coordinationv1.LeasesGetter
	Namespace string     // of the Lease
	Identity  string     // of the replica, which no other has
	None      bool       // it is the only one
	Leading   func(bool) // told whether it writes
	Log       logr.Logger
}

// Lead runs do while this replica is the leader. A replica that loses the lease
// goes on serving and stands for election again.
func (e Election) Lead(ctx context.Context, do func(context.Context) error) error {
	if e.None {
		e.Leading(true)
		return do(ctx)
	}
	lock := &resourcelock.LeaseLock{
		LeaseMeta:  metav1.ObjectMeta{Namespace: e.Namespace, Name: Lease},
		Client:     e.Client,
		LockConfig: resourcelock.ResourceLockConfig{Identity: e.Identity},
	}
	var writing sync.Mutex // a writer ends a moment after it lost the lease: its successor here, and the process, wait for it
	for ctx.Err() == nil {
		elector, err := leaderelection.NewLeaderElector(leaderelection.LeaderElectionConfig{
			Lock:            lock,
			Name:            "gatehouse",
			LeaseDuration:   15 * time.Second,
			RenewDeadline:   10 * time.Second,
			RetryPeriod:     2 * time.Second,
			ReleaseOnCancel: true,
			Callbacks: leaderelection.LeaderCallbacks{
				OnStartedLeading: func(ctx context.Context) {
					writing.Lock()
					defer writing.Unlock()
					e.Log.Info("leading: this replica writes statuses", "identity", e.Identity)
					e.Leading(true)
					defer e.Leading(false)
					if err := do(ctx); err != nil && !errors.Is(err, context.Canceled) {
						e.Log.Error(err, "writing statuses")
					}
				},
				OnStoppedLeading: func() { e.Log.Info("not leading", "identity", e.Identity) },
			},
		})
		if err != nil {
			return fmt.Errorf("leader election: %w", err)
		}
		elector.Run(ctx)
	}
	writing.Lock()
	defer writing.Unlock()
	return nil
}
