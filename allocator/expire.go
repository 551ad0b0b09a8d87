package allocator

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/nicferry/nicferry/nic"
)

// expireKey is the queue's key for ending reservations and identities whose
// time is over. It is no record's.
const expireKey = "expire"

// expireTogetherMax is how many of them one commit ends.
const expireTogetherMax = 100

// expire ends what is over, and says when to look again.
func (a *Allocator) expire(ctx context.Context) (time.Duration, error) {
	keys, again := a.taken.due(a.now())
	for batch := range slices.Chunk(keys, expireTogetherMax) {
		err := a.asLeader(ctx, func(e *edit) error {
			for _, key := range batch {
				r, rev, found, err := get[nic.Reservation](e, key) // of a nic.Kept it has what counts here
				if err != nil {
					return err
				}
				if found && !r.Held() && !a.now().Before(r.Until) {
					e.delete(key, rev)
				}
			}
			return nil
		})
		if slices.ContainsFunc(batch, func(key string) bool { return strings.HasPrefix(key, seatRoot) }) {
			a.queue.Wake(refusedKey) // there are seats again
		}
		if err != nil {
			return 0, fmt.Errorf("end reservations that are over: %w", err)
		}
	}
	return again, nil
}
