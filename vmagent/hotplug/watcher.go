//go:build linux

package hotplug

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/nicferry/nicferry/internal/link"
	"github.com/nicferry/nicferry/internal/netns"
	"github.com/nicferry/nicferry/nic"
)

// tick is how often the links are listed without a wake-up while somebody
// waits, in case one was lost in a way that the kernel did not tell.
const tick = 2 * time.Second

// A Watcher tells of NICs that arrive in the host namespace, to any number of
// waiters with one look per change, and none while nobody waits.
type Watcher struct {
	host *netns.Namespace
	some chan struct{} // has a token when somebody has begun to wait

	mu    sync.Mutex
	waits map[nic.MAC]map[nic.ID]func()
}

// NewWatcher makes a watcher. host must stay open while Run runs.
func NewWatcher(host *netns.Namespace) *Watcher {
	return &Watcher{host: host, some: make(chan struct{}, 1), waits: map[nic.MAC]map[nic.ID]func(){}}
}

// Await has arrived called once, soon after a NIC with the MAC is there: also
// if it is there already, and if there are several. It takes the place of an
// earlier wait for the same MAC on behalf of the same NIC: seats wait for that
// which they are on. arrived returns at once.
func (w *Watcher) Await(mac nic.MAC, of nic.ID, arrived func()) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.waits[mac] == nil {
		w.waits[mac] = map[nic.ID]func(){}
	}
	w.waits[mac][of] = arrived
	select {
	case w.some <- struct{}{}:
	default:
	}
}

// Forget ends a wait; it is no error if there is none.
func (w *Watcher) Forget(mac nic.MAC, of nic.ID) {
	w.mu.Lock()
	defer w.mu.Unlock()
	delete(w.waits[mac], of)
	if len(w.waits[mac]) == 0 {
		delete(w.waits, mac)
	}
}

// Run looks until ctx ends. It returns early only where the kernel does not
// let it look at all.
func (w *Watcher) Run(ctx context.Context) error {
	watch, err := link.Subscribe(w.host)
	if err != nil {
		return err
	}
	defer watch.Close()
	h, err := link.Open(w.host)
	if err != nil {
		return err
	}
	defer h.Close()
	slow := time.NewTicker(tick)
	defer slow.Stop()
	changes := watch.C
	for {
		if err := w.look(h); err != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return nil
		case <-slow.C:
		case <-w.some:
		case _, ok := <-changes:
			if !ok {
				changes = nil // the socket broke: the tick alone must do
			}
		}
	}
}

func (w *Watcher) look(h *link.Handle) error {
	w.mu.Lock()
	waiting := len(w.waits)
	w.mu.Unlock()
	if waiting == 0 {
		return nil
	}
	links, err := h.Links()
	if err != nil {
		return err
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	for mac, all := range w.waits {
		if _, err := Pick(links, mac); errors.Is(err, ErrNotFound) {
			continue
		}
		delete(w.waits, mac)
		for _, arrived := range all {
			arrived()
		}
	}
	return nil
}
