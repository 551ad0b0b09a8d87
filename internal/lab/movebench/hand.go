//go:build linux

package movebench

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/nicferry/nicferry/internal/lab/cluster"
	"github.com/nicferry/nicferry/internal/virt"
	"github.com/nicferry/nicferry/nic"
)

// handRouter is the LAN's address for what is moved by hand.
const handRouter = "10.77.3.1/24"

// A card is a NIC that is plugged by hand.
type card struct {
	mac  nic.MAC
	addr netip.Prefix
	file string // the XML that virsh wants
}

func (b *bench) newCard(name, addr string) (card, error) {
	port := nic.Port{Kind: nic.PortBridge, Name: cluster.LANBridge}
	c := card{mac: nic.NewMAC(), addr: netip.MustParsePrefix(addr), file: filepath.Join(b.lab.Host().Dir(), name+".xml")}
	text, err := virt.MarshalInterface(virt.Interface{Alias: "ua-" + name, MAC: c.mac, Port: port})
	if err != nil {
		return c, err
	}
	return c, os.WriteFile(c.file, []byte(text), 0o600)
}

// virsh runs without a detour through the lab's namespaces.
func (b *bench) virsh(ctx context.Context, verb string, n *cluster.Node, c card) error {
	args := []string{"-q", "-c", b.lab.Host().URI(), verb, n.Name, c.file, "--live"}
	if out, err := exec.CommandContext(ctx, "virsh", args...).CombinedOutput(); err != nil {
		return fmt.Errorf("virsh %s: %w: %s", verb, err, out)
	}
	return nil
}

// takeScript waits for a link by its MAC and puts it into a container. What costs
// time is done before it says that it is ready: the kernel tells of the link.
const takeScript = `mac=$1 pid=$2 addr=$3
exec 3< <(exec ip -o monitor link)
trap "kill $!" EXIT
until ip link set lo alias "bench$RANDOM"; read -r -t 0.2 line <&3; do :; done
echo ready
while read -r line <&3; do
	case $line in Deleted*) ;; *"link/ether $mac "*) break ;; esac
done
set -- $line
ip link set "${2%%[@:]*}" netns "$pid" name eth0
printf 'link set eth0 up\naddr add %s dev eth0\n' "$addr" | nsenter -t "$pid" -n ip -batch -
`

// A taking is a takeScript that runs.
type taking struct {
	done  chan error
	ready chan struct{}
	once  sync.Once
	said  bytes.Buffer
}

// Write takes what the script says; it says ready.
func (t *taking) Write(text []byte) (int, error) {
	t.said.Write(text)
	if strings.Contains(t.said.String(), "ready\n") {
		t.once.Do(func() { close(t.ready) })
	}
	return len(text), nil
}

// take starts the script, and returns when it waits for the link.
func (b *bench) take(ctx context.Context, n *cluster.Node, c card, pid string) (*taking, error) {
	t := &taking{done: make(chan error, 1), ready: make(chan struct{})}
	ctx, cancel := context.WithTimeout(ctx, patience)
	cmd := n.Command(ctx, "bash", "-c", takeScript, "take", c.mac.String(), pid, c.addr.String())
	cmd.Stdout, cmd.Stderr = t, t
	if err := cmd.Start(); err != nil {
		cancel()
		return nil, err
	}
	go func() {
		defer cancel()
		t.done <- cmd.Wait()
	}()
	select {
	case <-t.ready:
		return t, nil
	case err := <-t.done:
		return nil, fmt.Errorf("wait for a link by hand: %w", errors.Join(err, errors.New("it is never ready")))
	}
}

// floor is the least that must be done: a NIC out of one guest and into the other,
// and there into a container that runs.
type floor struct {
	*bench
	card card
	at   int // the guest that it is in
}

const floorContainer = "bench-floor"

// place runs a container on both guests and gives the first one's the NIC.
func (f *floor) place(ctx context.Context) (err error) {
	if f.card, err = f.newCard(floorContainer, "10.77.3.10/24"); err != nil {
		return err
	}
	for i := range 2 {
		if err := f.run(ctx, f.node(i), floorContainer); err != nil {
			return err
		}
	}
	t, err := f.prepared(ctx, 0)
	if err != nil {
		return err
	}
	return errors.Join(f.virsh(ctx, "attach-device", f.node(0), f.card), <-t.done)
}

func (f *floor) prepared(ctx context.Context, at int) (*taking, error) {
	pid, err := f.pid(ctx, f.node(at), floorContainer)
	if err != nil {
		return nil, err
	}
	return f.take(ctx, f.node(at), f.card, pid)
}

// addr is where the peer asks.
func (f *floor) addr() netip.Addr { return f.card.addr.Addr() }

// move moves the NIC to the other guest.
func (f *floor) move(ctx context.Context) (run, error) {
	t, err := f.prepared(ctx, 1-f.at)
	if err != nil {
		return run{}, err
	}
	r := run{order: time.Now()}
	err = f.virsh(ctx, "detach-device", f.node(f.at), f.card)
	r.step("detach-device", err)
	if err == nil {
		err = f.virsh(ctx, "attach-device", f.node(1-f.at), f.card)
		r.step("attach-device", err)
	}
	if err == nil {
		err = <-t.done
		r.step("ip", err)
	}
	f.at = 1 - f.at
	r.end = time.Now()
	return r, err
}

// remove takes all of it away.
func (f *floor) remove(ctx context.Context) error {
	ctx = context.WithoutCancel(ctx)
	return errors.Join(f.virsh(ctx, "detach-device", f.node(f.at), f.card), f.clear(ctx, floorContainer))
}
