//go:build linux

package ferry

import (
	"errors"
	"fmt"
	"time"

	"golang.org/x/sys/unix"

	"github.com/nicferry/nicferry/internal/link"
	"github.com/nicferry/nicferry/internal/netns"
)

// How often links are looked at that are to carry, and how often one that may
// never say so.
const (
	carrierLooks = 40
	unknownLooks = 15
	carrierPause = time.Millisecond
)

// AwaitCarrier waits until the link with the index in ns, and the end on the
// host if it is a veth, carry frames, if they have just come up: the kernel and
// a bridge drop frames before, without a word. It waits for some 40 ms at most,
// and not for a link that is down. To find no carrier is no error, since one
// may come at any time; nor is a link that is gone.
func (f *Ferry) AwaitCarrier(ns *netns.Namespace, index int) error {
	err := f.carriers.Pass(func() error { return f.awaitCarrier(ns, index) })
	if err != nil && !errors.Is(err, link.ErrNotFound) {
		return fmt.Errorf("look for the carrier of link %d in %s: %w", index, ns.ID(), err)
	}
	return nil
}

func (f *Ferry) awaitCarrier(ns *netns.Namespace, index int) error {
	inside, err := link.Open(ns)
	if err != nil {
		return err
	}
	defer inside.Close()
	for look := range carrierLooks {
		l, err := inside.ByIndex(index)
		if err != nil || !l.Up {
			return err
		}
		ready := carries(l, look)
		if l.Kind == link.KindVeth {
			// A new kernel takes note of the carrier because of the question.
			end, err := f.host.ByIndex(l.ParentIndex)
			if err != nil {
				return err
			}
			ready = ready && carries(end, look)
		}
		if ready {
			return nil
		}
		// The kernel's time, also where a test's stands still.
		pause := unix.NsecToTimespec(int64(carrierPause))
		_ = unix.Nanosleep(&pause, nil) // interrupted: then the next look is early
	}
	return nil
}

func carries(l link.Link, look int) bool { return l.Carries || l.Running && look >= unknownLooks }
