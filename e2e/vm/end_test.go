//go:build linux

package vm

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/nicferry/nicferry/internal/api"
	"github.com/nicferry/nicferry/internal/lab/cluster"
	"github.com/nicferry/nicferry/internal/lab/promise"
	"github.com/nicferry/nicferry/internal/virt"
	"github.com/nicferry/nicferry/nic"
)

// endTime bounds the end of a test: the removal of its containers, and all that
// follows from that.
const endTime = 2 * time.Minute

// end demands that what must always hold does, with the test's containers and
// without, and that nothing else of the test is left. If something is, the lab is
// mended for the tests that follow.
func (r *rig) end() {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(r.t.Context()), 2*endTime)
	defer cancel()
	err := r.promises(ctx)
	if clearErr := r.clear(ctx); clearErr != nil {
		err = errors.Join(err, clearErr)
	} else {
		err = errors.Join(err, await(ctx, "the lab to be as it was", endTime, r.leftovers), r.promises(ctx))
	}
	if err != nil {
		r.t.Errorf("after the test: %v", err)
	}
	if r.t.Failed() {
		r.tellLogs(ctx)
		if err := r.mend(ctx); err != nil {
			r.t.Errorf("mend the lab for the tests that follow: %v", err)
		}
	}
}

// promiseTime bounds how long what moves may look wrong.
const promiseTime = 20 * time.Second

// promises demands that what must always hold of records, hypervisor and guests
// does, once what moves has come to rest.
func (r *rig) promises(ctx context.Context) error {
	o := r.promise()
	var err error
	if o.Strangers, err = strangers(); err != nil {
		return err
	}
	return promise.Await(ctx, o, promiseTime)
}

func (r *rig) promise() promise.Options {
	return promise.Options{Config: filepath.Join(r.Host().Dir(), "nicferryd.yaml"), Cluster: r.Cluster}
}

// clear removes all containers.
func (r *rig) clear(ctx context.Context) error {
	var errs []error
	for _, n := range r.Nodes() {
		ids, err := n.Docker(ctx, "ps", "-aq")
		if names := strings.Fields(ids); err == nil && len(names) > 0 {
			_, err = n.Docker(ctx, append([]string{"rm", "-f"}, names...)...)
		}
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}

// leftovers is what a test may not leave: records of NICs and claims, cards in
// any definition, links in a guest or on the host, domains, and a guest or an
// agent that does not answer.
func (r *rig) leftovers(ctx context.Context) error {
	nics, err := list[api.NICView](ctx, r.Cluster, "nics")
	if err != nil {
		return err
	}
	claims, err := list[api.ClaimView](ctx, r.Cluster, "claims")
	if err != nil {
		return err
	}
	var left []error
	note := func(format string, args ...any) { left = append(left, fmt.Errorf(format, args...)) }
	for _, n := range nics {
		note("%w: NIC %s of %s, %s: %v", errLeft, n.ID, n.Node, n.Phase, n.Conditions)
	}
	for _, c := range claims {
		note("%w: claim %s of container %s, %s", errLeft, c.ID, c.Container, c.Phase)
	}
	domains, err := r.Virt().Domains(ctx)
	if err != nil {
		return err
	}
	for _, d := range domains {
		if _, err := r.Node(d.Name); err != nil {
			note("%w: domain %s", errLeft, d.Name)
		}
		for _, i := range slices.Concat(ours(d.Live), ours(d.Stored)) {
			note("%w: card %s in %s", errLeft, i.Alias, d.Name)
		}
	}
	left = append(left, r.hostLinks(ctx, domains))
	for _, n := range r.Nodes() {
		left = append(left, r.alive(ctx, n))
	}
	return errors.Join(left...)
}

// hostLinks finds taps on the host that no running domain has.
func (r *rig) hostLinks(ctx context.Context, domains []virt.Domain) error {
	out, err := r.Host().Run(ctx, "ls", "/sys/class/net")
	if err != nil {
		return err
	}
	taps := map[string]bool{}
	for name := range strings.FieldsSeq(out) {
		if strings.HasPrefix(name, "vnet") || strings.HasPrefix(name, "macvtap") {
			taps[name] = true
		}
	}
	for _, d := range domains {
		for _, i := range d.Live {
			delete(taps, i.Target)
		}
	}
	if len(taps) > 0 {
		return fmt.Errorf("%w: links on the host %v", errLeft, slices.Sorted(maps.Keys(taps)))
	}
	return nil
}

// alive demands that a guest answers, has no NIC but its own, and that the
// controller hears of its agent.
func (r *rig) alive(ctx context.Context, n *cluster.Node) error {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	out, err := n.Command(ctx, "sh", "-ec", "pgrep -x nicferry-agent >/dev/null; ls -d /sys/class/net/*/device").Output()
	if err != nil {
		return fmt.Errorf("%s or its agent is dead: %w", n.Name, err)
	}
	if links := strings.Fields(string(out)); len(links) != 1 {
		return fmt.Errorf("%w: NICs in %s: %v", errLeft, n.Name, links)
	}
	nodes, err := list[nic.Node](ctx, r.Cluster, "nodes")
	if err != nil {
		return err
	}
	for _, node := range nodes {
		if node.Name == n.Name && node.Phase == nic.NodeReady {
			return nil
		}
	}
	return fmt.Errorf("the controller does not hear of %s", n.Name)
}

// mend makes the lab good for the next test, as far as that is simple.
func (r *rig) mend(ctx context.Context) error {
	var errs []error
	if _, err := list[nic.Node](ctx, r.Cluster, "nodes"); err != nil {
		errs = append(errs, r.StartController(ctx))
	}
	domains, err := r.Virt().Domains(ctx)
	errs = append(errs, err)
	for _, d := range domains {
		for _, i := range slices.Concat(ours(d.Live), ours(d.Stored)) {
			_ = r.Virt().Unplug(ctx, d.Name, i) // one that is in both is gone from both the second time
		}
	}
	for _, n := range r.Nodes() {
		if r.alive(ctx, n) == nil {
			continue
		}
		_ = r.Virt().Resume(ctx, n.Name) // where it was frozen, that is all
		if r.alive(ctx, n) != nil {
			errs = append(errs, r.Virt().Destroy(ctx, n.Name), r.powerOn(ctx, n))
		}
	}
	return errors.Join(errs...)
}

// powerOn starts a guest that is off and waits until its agent serves.
func (r *rig) powerOn(ctx context.Context, n *cluster.Node) error {
	if err := r.Virt().Start(ctx, n.Name); err != nil {
		return err
	}
	return n.Await(ctx)
}

// mostLog is how much of each log a failed test shows, in bytes.
const mostLog = 6000

// tellLogs shows the ends of the logs.
func (r *rig) tellLogs(ctx context.Context) {
	from := []string{"host"}
	for _, n := range r.Nodes() { // one alone, with a -lab of one
		from = append(from, n.Name)
	}
	for _, from := range from {
		var text bytes.Buffer
		if err := r.Logs(ctx, from, &text); err != nil {
			r.t.Logf("no log of %s: %v", from, err)
			continue
		}
		r.t.Logf("logs of %s end with:\n%s", from, text.Bytes()[max(0, text.Len()-mostLog):])
	}
}
