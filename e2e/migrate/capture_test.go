//go:build linux

package migrate

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"strings"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"github.com/nicferry/nicferry/internal/lab/fleet"
	"github.com/nicferry/nicferry/internal/netns"
	"github.com/nicferry/nicferry/nic"
)

// near is how soon after each other frames of one MAC may not come from here,
// from there, and from here again. A move that goes back at once may take less than a
// second for there and back; two that have one MAC speak as soon as they are spoken to.
const near = 250 * time.Millisecond

// A capture notes from which machine's port of the switch frames of each MAC come.
type capture struct {
	fd   int
	ns   *netns.Namespace // the switch's
	end  context.CancelFunc
	done sync.WaitGroup

	mu    sync.Mutex
	ports map[int]string // by number of the interface; empty for one that is not a machine's
	stays map[nic.MAC][]stay
	// gratuitous counts the ARP messages in which a MAC says what nobody asked.
	gratuitous map[nic.MAC]int
}

// A stay is a run of frames of one MAC from one port.
type stay struct {
	port        string
	first, last time.Time
	frames      int
}

// newCapture listens on all ports of the fleet's switch, also those to come.
func newCapture(ctx context.Context, f *fleet.Fleet) (*capture, error) {
	ns, err := netns.Open(f.Machine.NetNS())
	if err != nil {
		return nil, err
	}
	c := &capture{ns: ns, ports: map[int]string{}, stays: map[nic.MAC][]stay{}, gratuitous: map[nic.MAC]int{}}
	if err := ns.Do(c.open); err != nil {
		return nil, errors.Join(fmt.Errorf("listen on the switch: %w", err), ns.Close())
	}
	ctx, c.end = context.WithCancel(context.WithoutCancel(ctx))
	c.done.Go(func() { c.listen(ctx) })
	return c, nil
}

// open makes the socket in the switch's namespace.
func (c *capture) open() (err error) {
	all := uint16(unix.ETH_P_ALL>>8 | unix.ETH_P_ALL<<8&0xff00)
	c.fd, err = unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_CLOEXEC, int(all))
	if err != nil {
		return err
	}
	err = errors.Join(
		unix.SetsockoptInt(c.fd, unix.SOL_PACKET, unix.PACKET_IGNORE_OUTGOING, 1),
		unix.SetsockoptInt(c.fd, unix.SOL_SOCKET, unix.SO_TIMESTAMPNS, 1),
		unix.SetsockoptInt(c.fd, unix.SOL_SOCKET, unix.SO_RCVBUF, 4<<20),
		unix.SetsockoptTimeval(c.fd, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &unix.Timeval{Usec: 100_000}),
	)
	if err != nil {
		unix.Close(c.fd)
	}
	return err
}

func (c *capture) listen(ctx context.Context) {
	frame, control := make([]byte, 64), make([]byte, 128)
	for ctx.Err() == nil {
		n, oob, _, from, err := unix.Recvmsg(c.fd, frame, control, 0)
		link, ok := from.(*unix.SockaddrLinklayer)
		if err != nil || !ok || n < 14 {
			continue // nothing in time
		}
		port := c.port(link.Ifindex)
		if port == "" {
			continue
		}
		var mac nic.MAC
		copy(mac[:], frame[6:12])
		c.note(mac, port, stamp(control[:oob]))
		const arp = "\x08\x06"
		if n >= 42 && string(frame[12:14]) == arp && bytes.Equal(frame[28:32], frame[38:42]) {
			c.mu.Lock()
			c.gratuitous[mac]++
			c.mu.Unlock()
		}
	}
}

// stamp is when the kernel had the frame.
func stamp(control []byte) time.Time {
	messages, _ := unix.ParseSocketControlMessage(control)
	for _, m := range messages {
		if m.Header.Type == unix.SO_TIMESTAMPNS && len(m.Data) >= 16 {
			return time.Unix(int64(binary.NativeEndian.Uint64(m.Data)), int64(binary.NativeEndian.Uint64(m.Data[8:])))
		}
	}
	return time.Now()
}

// port is the name of a machine's port, empty for another interface's.
func (c *capture) port(index int) string {
	c.mu.Lock()
	defer c.mu.Unlock()
	name, known := c.ports[index]
	if !known {
		_ = c.ns.Do(func() error {
			link, err := net.InterfaceByIndex(index)
			if err == nil && strings.HasPrefix(link.Name, "lan-") {
				name = link.Name
			}
			return err // gone meanwhile
		})
		c.ports[index] = name
	}
	return name
}

// note adds a frame to what is known of its MAC.
func (c *capture) note(mac nic.MAC, port string, at time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	stays := c.stays[mac]
	if len(stays) == 0 || stays[len(stays)-1].port != port {
		stays = append(stays, stay{port: port, first: at})
		c.stays[mac] = stays
	}
	s := &stays[len(stays)-1]
	s.last = at
	s.frames++
}

// wrong is what was seen that must not be: a MAC that speaks from a port after it
// has spoken from another, and not a good while after.
func (c *capture) wrong() []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	var found []string
	for mac, stays := range c.stays {
		for i := 2; i < len(stays); i++ {
			a, b, again := stays[i-2], stays[i-1], stays[i]
			if away := again.first.Sub(a.last); again.port == a.port && away < near {
				found = append(found, fmt.Sprintf("%s: frames of %s from %s, from %s, and %s later from %s again",
					b.first.Format("15:04:05.000"), mac, a.port, b.port, away, again.port))
			}
		}
	}
	return found
}

// of are the stays of a MAC so far.
func (c *capture) of(mac nic.MAC) []stay {
	c.mu.Lock()
	defer c.mu.Unlock()
	return append([]stay(nil), c.stays[mac]...)
}

// announced is how many times a MAC has said by itself whose an address is.
func (c *capture) announced(mac nic.MAC) int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.gratuitous[mac]
}

func (c *capture) close() {
	c.end()
	c.done.Wait()
	unix.Close(c.fd)
	c.ns.Close()
}
