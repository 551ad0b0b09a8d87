//go:build linux

package plugbench

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/nicferry/nicferry/internal/bench/figures"
	"github.com/nicferry/nicferry/nic"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// The guest's ip tells of changes of a link, too, and its lines come in pieces.
func TestWatchCountsComingsAndGoings(t *testing.T) {
	w := &watch{sights: map[string]sight{}, changed: make(chan struct{})}
	mac := nic.MAC{0xe2, 0x4e, 0x01, 0x02, 0x03, 0x04}
	said := `5: eth1: <BROADCAST,MULTICAST> mtu 1500 qdisc noop state DOWN group default \    link/ether e2:4e:01:02:03:04 brd ff:ff:ff:ff:ff:ff
5: eth1: <BROADCAST,MULTICAST,UP> mtu 1500 qdisc noop state UP group default \    link/ether e2:4e:01:02:03:04 brd ff:ff:ff:ff:ff:ff
Deleted 5: eth1: <BROADCAST,MULTICAST> mtu 1500 qdisc noop state DOWN group default \    link/ether e2:4e:01:02:03:04 brd ff:ff:ff:ff:ff:ff
6: eth2: <NOARP> mtu 1500 qdisc noop state DOWN group default \    link/none
`
	for i := range len(said) {
		if _, err := w.Write([]byte(said[i : i+1])); err != nil {
			t.Fatal(err)
		}
		if i == strings.Index(said, "\n") {
			if at, err := w.await(t.Context(), mac, true); err != nil || time.Since(at) > time.Minute {
				t.Errorf("it came at %v, %v", at, err)
			}
		}
	}
	s, _ := w.of(mac)
	if s.here || s.comes != 1 || s.leave != 1 {
		t.Errorf("saw %+v, want it to have come and gone once", s)
	}
	if at, err := w.await(t.Context(), mac, false); err != nil || at.Before(s.come) {
		t.Errorf("it went at %v, %v", at, err)
	}
}

// The reports are computed from the file alone, say what they are of, and what
// failed.
func TestTell(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "plug.csv")
	f, err := figures.Create(path, "abc123")
	if err != nil {
		t.Fatal(err)
	}
	for round := range 20 {
		f.Add(attach, ours, round, 55000, "us", nil)
		f.Add(attach, virshLive, round, 60000, "us", nil)
		f.Add(detach, ours, round, 120000, "us", nil)
		f.Add(udpGot, pathNIC, round, 17500, "packets/s", nil)
		f.Add(udpGot, pathDocker, round, 4400, "packets/s", nil)
		f.Add(cycle, ours, round, 200000, "us", nil)
		f.Add(reply, late, round, 2500000+int64(round), "us", nil)
		f.Add(started, noNetwork, round, 1900000, "us", nil)
	}
	f.AddLoad("before", figures.Machine{Load: 3})
	f.Add(detach, ours, 20, 6000000, "us", nil)
	f.Add(cycle, ours, 20, 1, "us", errors.New("the domain has it 2 times <b>"))
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	err = Tell(path, figures.Machine{Kernel: "6.1", CPUs: 2}, dir)
	if err == nil || !strings.Contains(err.Error(), "1 run") {
		t.Errorf("got %v, want it to say that a run failed", err)
	}
	for name, wants := range map[string][]string{
		"bench-vm.md": {
			"abc123", "TCG guest", "busy with other work", "load 3.00 before", "| 0.92 × [0.92, 0.92] | at most 1.1 × | yes |", "6000 ms | less than 5 s | no |",
			"1 of 21 | none | no |", "first ping reply, warm guest, p50: plugged in at the start | 2500 ms of 20; docker start without a network alone takes 1900 ms | told |  |", "3.98 × [3.98, 3.98] | at least 3.0 × | yes |", "| virsh --live | 20 | 0 | 60.0 | 60.0 | 60.0 | 0.92 [0.92, 0.92] |",
		},
		"bench-vm.html": {"abc123", "TCG guest", "<svg", "17.5", "2 times &lt;b&gt;"},
	} {
		text, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		for _, want := range wants {
			if !strings.Contains(string(text), want) {
				t.Errorf("%s lacks %q:\n%s", name, want, text)
			}
		}
	}
}

// Each kind is in each place about as often as any other, and in each round once.
func TestKindsAreShuffled(t *testing.T) {
	const rounds = 60
	places := map[string][3]int{}
	for round := range rounds {
		for place, kind := range starts(round) {
			at := places[kind]
			at[place]++
			places[kind] = at
		}
		if !slices.Equal(starts(round), starts(round)) {
			t.Errorf("round %d has another order each time", round)
		}
	}
	for _, kind := range []string{preplug, late, noNetwork} {
		at := places[kind]
		if at[0]+at[1]+at[2] != rounds || min(at[0], at[1], at[2]) < rounds/6 {
			t.Errorf("%s came first, second and third %d times", kind, at)
		}
	}
}
