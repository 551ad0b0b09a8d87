//go:build linux

package portguard

import (
	"bytes"
	"cmp"
	"net"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/mdlayher/packet"
	"golang.org/x/sys/unix"

	"github.com/nicferry/nicferry/internal/netns/netnstest"
)

// BenchmarkPort sends small frames over the switch to a peer, from a container at a
// port without a filter and from one at a port with one, in turn, b.N bursts each. What
// it reports is the median of the bursts: the processor's time for a frame, of which
// the switch's part and the peer's are the sender's too, and how many times as much
// with the filter.
func BenchmarkPort(b *testing.B) {
	const burst = 256
	for _, size := range []struct {
		name  string
		frame []byte
	}{
		{"IPv4", udp4(ownMAC, a4, gw4, 1234, 53, make([]byte, 18))},
		{"IPv6", ipv6(ownMAC, own6, 17, header(1234, 53, make([]byte, 18)))},
	} {
		b.Run(size.name, func(b *testing.B) {
			l := newLAN(b)
			guarded := bytes.Clone(size.frame)
			copy(guarded, peerMAC[:]) // to one, as most are
			l.guard(static)
			free := bytes.Clone(guarded)
			copy(free[6:], foreignMAC[:])
			other := l.plug(l.switches, netnstest.New(b), "port3", foreignMAC)
			hello := ether(allMACs, peerMAC, 0x88b5, make([]byte, 46)) // the switch learns where the peer is
			if _, err := l.peer.WriteTo(hello, &packet.Addr{HardwareAddr: net.HardwareAddr(allMACs[:])}); err != nil {
				b.Fatal(err)
			}
			runtime.LockOSThread()
			defer runtime.UnlockOSThread()
			send := func(at *packet.Conn, frame []byte) float64 {
				start := l.spent()
				for range burst {
					if _, err := at.WriteTo(frame, &packet.Addr{HardwareAddr: net.HardwareAddr(frame[:6])}); err != nil {
						b.Fatal(err)
					}
				}
				return float64((l.spent() - start).Nanoseconds()) / burst
			}
			before := l.heard()
			for l.heard()-before < burst { // the other's carrier is there
				send(other, free)
			}
			var with, without []float64
			before = l.heard()
			for range b.N {
				with, without = append(with, send(l.sender, guarded)), append(without, send(other, free))
			}
			if got, want := l.heard()-before, 2*b.N*burst; got < want {
				b.Errorf("the peer got %d of %d frames", got, want)
			}
			b.ReportMetric(median(without), "ns/frame-free")
			b.ReportMetric(median(with), "ns/frame-guarded")
			b.ReportMetric(median(with)/median(without), "ratio")
			b.ReportMetric(0, "ns/op")
		})
	}
}

// spent is what this thread has had of a processor, whoever else was on it.
func (l *lan) spent() time.Duration {
	l.Helper()
	var t unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_THREAD_CPUTIME_ID, &t); err != nil {
		l.Fatal(err)
	}
	return time.Duration(t.Nano())
}

func median[T cmp.Ordered](all []T) T {
	slices.Sort(all)
	return all[len(all)/2]
}

// heard is how many frames the peer's interface has received.
func (l *lan) heard() int {
	l.Helper()
	text := netnstest.Run(l.TB, l.far, "cat", "/proc/net/dev")
	_, line, _ := strings.Cut(text, "eth0:")
	n, err := strconv.Atoi(strings.Fields(line)[1])
	if err != nil {
		l.Fatal(err)
	}
	return n
}
