//go:build linux

package plugbench

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"github.com/nicferry/nicferry/internal/lab/cluster"
	"github.com/nicferry/nicferry/internal/retry"
	"github.com/nicferry/nicferry/internal/virt"
	"github.com/nicferry/nicferry/nic"
	"github.com/nicferry/nicferry/provider"
)

// The rivals, and what is measured of them.
const (
	ours       = "nicferry"
	virshLive  = "virsh --live"
	virshBoth  = "virsh --live --config"
	attach     = "attach"
	attachUser = "attach, until its user knows"
	detach     = "detach"
	detachUser = "detach, until its user knows"
	frozen     = "detach, guest frozen"
	cycle      = "cycle"
)

// A card is one NIC to plug.
type card struct {
	spec nic.Spec
	file string // the XML that virsh wants
}

// A rival is one way to plug and unplug.
type rival struct {
	name           string
	attach, detach func(context.Context, card) error
	// awaitHere and awaitGone are how its user finds out, after the call.
	awaitHere, awaitGone func(context.Context, card) error
}

func (b *bench) rivals() []rival {
	none := func(context.Context, card) error { return nil } // the watch itself tells
	list := []rival{{ours, b.plug, b.unplug, none, none}}
	for _, name := range []string{virshLive, virshBoth} {
		flags := strings.Fields(name)[1:]
		list = append(list, rival{
			name,
			func(ctx context.Context, c card) error { return b.virsh(ctx, "attach-device", c, flags) },
			func(ctx context.Context, c card) error { return b.virsh(ctx, "detach-device", c, flags) },
			b.loopHere, b.loopGone,
		})
	}
	return list
}

func (b *bench) newCard() (card, error) {
	port := nic.Port{Kind: nic.PortBridge, Name: cluster.LANBridge}
	id := nic.NewID()
	c := card{spec: nic.Spec{NIC: id, Network: "lab", Tenant: "default", Node: b.node.Name, MAC: nic.NewMAC(), Port: port}}
	c.file = filepath.Join(b.lab.Host().Dir(), "bench-nic.xml")
	text, err := virt.MarshalInterface(virt.Interface{Alias: "ua-bench-" + string(id), MAC: c.spec.MAC, Port: port})
	if err != nil {
		return c, err
	}
	return c, os.WriteFile(c.file, []byte(text), 0o600)
}

func (b *bench) place() nic.Place {
	return nic.Place{Node: b.node.Name, Instance: nic.InstanceID(b.node.Name)}
}

func (b *bench) plug(ctx context.Context, c card) error {
	if _, err := b.ours.Create(ctx, c.spec); err != nil {
		return err
	}
	return b.plugIn(ctx, c)
}

// plugIn has the provider attach the card, as soon as it does.
func (b *bench) plugIn(ctx context.Context, c card) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	for {
		_, err := b.ours.Attach(ctx, c.spec.NIC, b.place())
		e, ok := errors.AsType[*provider.Error](err)
		if !ok || e.Kind != provider.ErrBusy || e.RetryAfter == 0 {
			return err
		}
		if retry.Sleep(ctx, e.RetryAfter) != nil {
			return err
		}
	}
}

func (b *bench) unplug(ctx context.Context, c card) error {
	return b.ours.Detach(ctx, c.spec.NIC, b.place().Instance)
}

// virsh runs without a detour through the lab's namespaces.
func (b *bench) virsh(ctx context.Context, verb string, c card, flags []string) error {
	args := append([]string{"-q", "-c", b.lab.Host().URI(), verb, b.node.Name, c.file}, flags...)
	if out, err := exec.CommandContext(ctx, "virsh", args...).CombinedOutput(); err != nil {
		return fmt.Errorf("virsh %s: %w: %s", verb, err, out)
	}
	return nil
}

// loopHere and loopGone are the shell loops that people write around virsh.
func (b *bench) loopHere(ctx context.Context, c card) error {
	loop := "until ip -o link | grep -qi " + c.spec.MAC.String() + "; do sleep 0.05; done"
	return b.node.Command(ctx, "sh", "-c", loop).Run()
}

func (b *bench) loopGone(ctx context.Context, c card) error {
	mac := c.spec.MAC.String()
	loop := "while virsh -c \"$1\" dumpxml " + b.node.Name + " | grep -qi " + mac + "; do sleep 0.05; done"
	if err := exec.CommandContext(ctx, "sh", "-c", loop, "loop", b.lab.Host().URI()).Run(); err != nil {
		return err
	}
	return b.node.Command(ctx, "sh", "-c", "while ip -o link | grep -qi "+mac+"; do sleep 0.05; done").Run()
}

// plugs lets each rival plug and unplug in turn.
func (b *bench) plugs(ctx context.Context) error {
	b.opts.Tell("%d rounds of hot-plug, nicferry's provider and virsh in turn", b.opts.Rounds)
	rivals := b.rivals()
	for round := -1; round < b.opts.Rounds; round++ {
		for i := range rivals {
			r := rivals[(i+max(round, 0))%len(rivals)]
			if err := b.plugOnce(ctx, r, round); err != nil {
				return err
			}
		}
	}
	return nil
}

// plugOnce plugs a fresh card and unplugs it again. What a rival did wrong is
// recorded; the error is of what keeps all of them from going on.
func (b *bench) plugOnce(ctx context.Context, r rival, round int) error {
	c, err := b.newCard()
	if err != nil {
		return err
	}
	var times [4]time.Duration
	begin := time.Now()
	err = r.attach(ctx, c)
	if err == nil {
		var at time.Time
		at, err = b.watch.await(ctx, c.spec.MAC, true)
		times[0] = at.Sub(begin)
	}
	if err == nil {
		err = r.awaitHere(ctx, c)
		times[1] = time.Since(begin)
	}
	if err == nil {
		err = retry.Sleep(ctx, 50*time.Millisecond) // the guest finishes what it does with a new link
	}
	if err == nil {
		begin = time.Now()
		err = r.detach(ctx, c)
	}
	if err == nil {
		times[2], err = b.gone(ctx, c, begin)
	}
	if err == nil {
		err = r.awaitGone(ctx, c)
		times[3] = time.Since(begin)
	}
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if round >= 0 {
		for i, measure := range []string{attach, attachUser, detach, detachUser} {
			b.file.Add(measure, r.name, round, times[i].Microseconds(), "us", err)
		}
	}
	if r.name == ours {
		_ = b.ours.Delete(ctx, c.spec.NIC) // a record of the bench's own
	}
	return retry.Sleep(ctx, 50*time.Millisecond)
}

// gone waits until neither the guest nor the domain's XML has the card.
func (b *bench) gone(ctx context.Context, c card, begin time.Time) (time.Duration, error) {
	at, err := b.watch.await(ctx, c.spec.MAC, false)
	if err != nil {
		return 0, err
	}
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	for {
		had, err := b.has(ctx, c.spec.MAC)
		if err != nil {
			return 0, err
		}
		if had == 0 {
			if now := time.Now(); now.After(at) {
				at = now
			}
			return at.Sub(begin), nil
		}
		if err := retry.Sleep(ctx, 5*time.Millisecond); err != nil {
			return 0, fmt.Errorf("the domain still has %s: %w", c.spec.MAC, err)
		}
	}
}

// has counts the cards with the MAC that the running domain has.
func (b *bench) has(ctx context.Context, mac nic.MAC) (count int, err error) {
	d, err := b.lab.Virt().Domain(ctx, b.node.Name)
	for _, i := range d.Live {
		if strings.EqualFold(i.MAC.String(), mac.String()) {
			count++
		}
	}
	return count, err
}
