//go:build linux

package plugbench

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"regexp"
	"strings"
	"sync"
	"time"

	"github.com/nicferry/nicferry/internal/lab/guest"
	"github.com/nicferry/nicferry/internal/retry"
	"github.com/nicferry/nicferry/nic"
)

// A watch hears of every link that comes into the guest or goes, as it happens:
// the same eyes for all rivals.
type watch struct {
	cmd    *guest.Cmd
	cancel context.CancelFunc
	rest   []byte // of a line that is not at its end

	mu      sync.Mutex
	said    bool             // anything at all
	sights  map[string]sight // by MAC
	changed chan struct{}    // closed at the next sight
}

// A sight is what was seen of one MAC.
type sight struct {
	come, gone   time.Time // of the last time
	comes, leave int       // how often
	here         bool
}

// startWatch starts it in the guest.
func (b *bench) startWatch(ctx context.Context) (*watch, error) {
	ctx, cancel := context.WithCancel(ctx)
	w := &watch{cancel: cancel, sights: map[string]sight{}, changed: make(chan struct{})}
	w.cmd = b.node.Command(ctx, "ip", "-o", "monitor", "link")
	w.cmd.Stdout = w
	if err := w.cmd.Start(); err != nil {
		cancel()
		return nil, err
	}
	go func() {
		_ = w.cmd.Wait() // it is ended by stop, or the next wait tells that nothing comes
		cancel()
	}()
	// It sees nothing until it listens; a change that changes nothing tells.
	ready, end := context.WithTimeout(ctx, patience)
	defer end()
	for !w.heard() {
		_, err := b.node.Command(ready, "ip", "link", "set", "lo", "alias", "bench").Output()
		if err = errors.Join(err, retry.Sleep(ready, 100*time.Millisecond)); err != nil {
			cancel()
			return nil, fmt.Errorf("watch the guest's links: %w", err)
		}
	}
	return w, nil
}

// heard says whether any word has come.
func (w *watch) heard() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.said
}

func (w *watch) stop() error {
	w.cancel()
	return nil
}

var ether = regexp.MustCompile(`link/ether ([0-9a-f:]{17})`)

// Write takes what the guest's ip says.
func (w *watch) Write(text []byte) (int, error) {
	now := time.Now()
	w.rest = append(w.rest, text...)
	for {
		line, rest, whole := bytes.Cut(w.rest, []byte("\n"))
		if !whole {
			return len(text), nil
		}
		w.see(string(line), now)
		w.rest = rest
	}
}

func (w *watch) see(line string, now time.Time) {
	mac := ether.FindStringSubmatch(line)
	w.mu.Lock()
	defer w.mu.Unlock()
	w.said = true
	if mac == nil {
		return
	}
	s := w.sights[mac[1]]
	gone := strings.HasPrefix(line, "Deleted ")
	if gone == !s.here {
		return // a change of a link that is here, or one that went into a container
	}
	if s.here = !gone; gone {
		s.gone, s.leave = now, s.leave+1
	} else {
		s.come, s.comes = now, s.comes+1
	}
	w.sights[mac[1]] = s
	close(w.changed)
	w.changed = make(chan struct{})
}

func (w *watch) of(mac nic.MAC) (sight, chan struct{}) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.sights[mac.String()], w.changed
}

// errNotSeen is a link that did not come or go in time.
var errNotSeen = errors.New("not seen in time")

// patience is how long a guest gets for a link to come or go.
const patience = 30 * time.Second

// await waits until the link is here or gone and returns since when.
func (w *watch) await(ctx context.Context, mac nic.MAC, here bool) (time.Time, error) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	for {
		s, changed := w.of(mac)
		if s.here == here && here {
			return s.come, nil
		}
		if s.here == here && !s.gone.IsZero() {
			return s.gone, nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return time.Now(), fmt.Errorf("link %s in the guest, here %t: %w", mac, here, errNotSeen)
		}
	}
}
