package allocator

import (
	"context"
	"fmt"
	"maps"
	"sync"
	"time"

	"github.com/nicferry/nicferry/internal/store"
	"github.com/nicferry/nicferry/nic"
)

// censusWait is how long nodes have to take a census that was asked for: a look
// at their kernel and their engine.
const censusWait = 5 * time.Second

// censuses keeps each node's last census. It is this controller's memory alone:
// a new one asks anew.
type censuses struct {
	mu   sync.Mutex
	last map[string]nic.Census
	came chan struct{} // closed and replaced with each
}

func newCensuses() *censuses {
	return &censuses{last: map[string]nic.Census{}, came: make(chan struct{})}
}

func (c *censuses) put(node string, census nic.Census) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.last[node] = census
	close(c.came)
	c.came = make(chan struct{})
}

// since returns those of the nodes that were taken at the revision that is
// asked of each, or later; and what is closed when another comes.
func (c *censuses) since(asked map[string]store.Rev) (map[string]nic.Census, <-chan struct{}) {
	c.mu.Lock()
	defer c.mu.Unlock()
	fresh := maps.Clone(c.last)
	maps.DeleteFunc(fresh, func(node string, census nic.Census) bool {
		rev, ok := asked[node]
		return !ok || census.Revision < uint64(rev)
	})
	return fresh, c.came
}

// askNodes has every node that reports take a census, by a new revision of what
// is wanted of it. Of those that do not report nothing is known.
func (a *Allocator) askNodes(ctx context.Context, f *facts) (map[string]store.Rev, error) {
	asked := map[string]store.Rev{}
	for name, node := range f.before.nodes {
		if node = a.withLife(node); node.Phase != nic.NodeReady {
			f.mute[name] = fmt.Sprintf("its agent has said nothing since %s", node.LastSeen.Format(time.RFC3339))
			if node.Phase == nic.NodeRevoked {
				f.mute[name] = fmt.Sprintf("it is revoked since %s, and not asked", node.Revoked.Format(time.RFC3339))
			}
			continue
		}
		err := a.atomically(ctx, func(e *edit) error {
			now, rev, found, err := get[nic.Node](e, nodeKey(name))
			if found && err == nil {
				now.LastSeen = a.withLife(now).LastSeen
				e.update(nodeKey(name), now, rev)
			}
			return err
		})
		if err != nil {
			return nil, fmt.Errorf("ask node %s for a census: %w", name, err)
		}
		_, rev, found, err := get[nic.Node](a.reader(ctx), nodeKey(name))
		if err != nil {
			return nil, err
		}
		if found {
			asked[name] = rev
		}
	}
	return asked, nil
}

// awaitCensuses waits for the nodes that were asked.
func (a *Allocator) awaitCensuses(ctx context.Context, f *facts, asked map[string]store.Rev) {
	timer := time.NewTimer(censusWait)
	defer timer.Stop()
	for {
		fresh, came := a.censuses.since(asked)
		f.censuses = fresh
		if len(fresh) == len(asked) {
			return
		}
		select {
		case <-came:
			continue
		case <-timer.C:
		case <-ctx.Done():
		}
		break
	}
	for name := range asked {
		if _, ok := f.censuses[name]; !ok {
			f.mute[name] = fmt.Sprintf("its agent has sent no census within %s", censusWait)
		}
	}
}
