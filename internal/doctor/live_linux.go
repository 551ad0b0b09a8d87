package doctor

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/nicferry/nicferry/internal/link"
	"github.com/nicferry/nicferry/internal/netns"
	"github.com/nicferry/nicferry/internal/pulse"
	"github.com/nicferry/nicferry/nic"
)

// Live is the running kernel, as seen from one network namespace.
type Live struct {
	host  *link.Handle
	own   *netns.Namespace
	pulse *pulse.Pulse
}

// Open opens the kernel from our own network namespace.
func Open() (*Live, error) {
	own, err := netns.Current()
	if err != nil {
		return nil, err
	}
	l, err := openIn(own)
	if err != nil {
		return nil, errors.Join(err, own.Close())
	}
	return l, nil
}

// openIn takes ns over.
func openIn(ns *netns.Namespace) (*Live, error) {
	h, err := link.Open(ns)
	if err != nil {
		return nil, err
	}
	return &Live{host: h, own: ns, pulse: pulse.OfLinks(h)}, nil
}

// Close lets the kernel go.
func (l *Live) Close() error {
	l.host.Close()
	return l.own.Close()
}

// Beat asks for one link.
func (l *Live) Beat(ctx context.Context) (time.Duration, error) { return l.pulse.Beat(ctx) }

// NICs lists the namespace's links with their addresses.
func (l *Live) NICs() ([]NIC, error) {
	links, err := l.host.Links()
	if err != nil {
		return nil, err
	}
	var nics []NIC
	for _, k := range links {
		n := NIC{Index: k.Index, Name: k.Name, Kind: k.Kind, PCI: k.PCI, MAC: k.MAC, Perm: k.PermMAC, Up: k.Up}
		addrs, err := l.host.Addrs(k)
		if err != nil {
			return nil, err
		}
		for _, a := range addrs {
			if !a.Prefix.Addr().IsLinkLocalUnicast() {
				n.Addrs = append(n.Addrs, a.Prefix)
			}
		}
		nics = append(nics, n)
	}
	return nics, nil
}

// Flush takes all addresses from a NIC and sets it down. It looks whether it is
// still the one that was seen.
func (l *Live) Flush(n NIC) error {
	k, err := l.host.ByIndex(n.Index)
	if errors.Is(err, link.ErrNotFound) {
		return nil
	}
	if err != nil {
		return err
	}
	if k.MAC != n.MAC {
		return fmt.Errorf("it is another NIC by now, with MAC %s", k.MAC)
	}
	down := false
	if err := l.host.Set(k, link.Change{Up: &down}); err != nil {
		return err
	}
	addrs, err := l.host.Addrs(k)
	for _, a := range addrs {
		err = errors.Join(err, l.host.DelAddr(k, a.Prefix))
	}
	return err
}

// Free asks for a file system's blocks.
func (l *Live) Free(path string) (free, total uint64, err error) {
	var s syscall.Statfs_t
	if err := syscall.Statfs(path, &s); err != nil {
		return 0, 0, os.NewSyscallError("statfs", err)
	}
	return s.Bavail * uint64(s.Bsize), s.Blocks * uint64(s.Bsize), nil
}

// CanMake makes a link of the kind, a filter or a rule in a namespace that goes at once.
func (l *Live) CanMake(kind string) error {
	ns, err := netns.New()
	if err != nil {
		return err
	}
	defer ns.Close()
	h, err := link.Open(ns)
	if err != nil {
		return err
	}
	defer h.Close()
	if err := h.AddPair(link.Pair{Name: "nftest0", PeerName: "nftest1"}); err != nil || kind == link.KindVeth {
		return err
	}
	parent, err := h.ByName("nftest0")
	if err != nil {
		return err
	}
	switch kind {
	case filtering:
		return h.BlockEgress(parent, []netip.Addr{metadata4, metadata6})
	case policyRouting:
		return errors.Join(addRule(h, metadata4), addRule(h, metadata6))
	case link.KindIpvlan:
		return h.AddIpvlan(link.Ipvlan{Name: "nftest2", Parent: parent.Index})
	}
	return addMacvlan(h, parent)
}

// addRule sends packets from an address to a table of their own. The kernel may have
// no IPv6 at all, of which other checks tell.
func addRule(h *link.Handle, from netip.Addr) error {
	err := h.AddRule(link.Rule{From: netip.PrefixFrom(from, from.BitLen()), Table: 1})
	if from.Is6() && errors.Is(err, syscall.EAFNOSUPPORT) {
		return nil
	}
	return err
}

// ClockSynced asks the kernel, which is told by whoever sets its clock.
func (l *Live) ClockSynced() (bool, error) {
	const (
		unsynced  = 0x40 // STA_UNSYNC
		timeError = 5    // TIME_ERROR
	)
	var t syscall.Timex
	state, err := syscall.Adjtimex(&t)
	return err == nil && state != timeError && t.Status&unsynced == 0, err
}

// maxMessages bounds how much of the kernel's log is read.
const maxMessages = 20_000

// recent is how long a line of the kernel's log says something about now. The
// kernel repeats itself every 10 s while it waits for a device.
const recent = 2 * time.Minute

// Messages are the recent lines of the kernel's log.
func (l *Live) Messages() ([]string, error) {
	fd, err := syscall.Open("/dev/kmsg", syscall.O_RDONLY|syscall.O_NONBLOCK|syscall.O_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("open /dev/kmsg: %w", err)
	}
	defer syscall.Close(fd)
	var up syscall.Sysinfo_t
	if err := syscall.Sysinfo(&up); err != nil {
		return nil, os.NewSyscallError("sysinfo", err)
	}
	since := time.Duration(up.Uptime)*time.Second - recent
	var lines []string
	buf := make([]byte, 8192) // longer than any record
	for range maxMessages {
		n, err := syscall.Read(fd, buf)
		switch {
		case errors.Is(err, syscall.EPIPE): // overwritten while we read: the next one is there
			continue
		case errors.Is(err, syscall.EAGAIN) || n == 0:
			return lines, nil
		case err != nil:
			return lines, os.NewSyscallError("read /dev/kmsg", err)
		}
		if at, text := kmsg(string(buf[:n])); at >= since {
			lines = append(lines, text)
		}
	}
	return lines, nil
}

// kmsg reads "priority,number,microseconds since boot,flags;text".
func kmsg(record string) (at time.Duration, text string) {
	head, text, _ := strings.Cut(record, ";")
	text, _, _ = strings.Cut(text, "\n")
	if f := strings.Split(head, ","); len(f) > 2 {
		usec, _ := strconv.ParseInt(f[2], 10, 64)
		at = time.Duration(usec) * time.Microsecond
	}
	return at, text
}

func addMacvlan(h *link.Handle, parent link.Link) error {
	return h.AddMacvlan(link.Macvlan{Name: "nftest2", MAC: nic.NewMAC(), Parent: parent.Index})
}
