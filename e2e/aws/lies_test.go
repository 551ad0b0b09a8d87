//go:build linux

package aws

import (
	"fmt"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/nicferry/nicferry/internal/cloudsim"
	"github.com/nicferry/nicferry/internal/lab/fleet"
	"github.com/nicferry/nicferry/nic"
)

// The cloud loses answers, forgets, says what is not so, and lets people take away
// what they want. What takes half a minute goes on beside the rest.
func TestACloudThatIsNotAsItSays(t *testing.T) {
	t.Parallel()
	r := start(t, options{agents: 2, kind: "m5.4xlarge", more: "sweep: {every: 1s, grace: 1s}\n"})
	vm1, vm2 := r.Agents[0], r.Agents[1]
	foreign := r.foreign()

	blind := r.attachedAndNotThere(vm1)
	robbed := r.deletedByHand(vm1)
	r.in(t, "F03_LostReplies", func(r *rig) { r.lostReplies(vm1) })
	r.in(t, "F05_StaleAnswers", func(r *rig) { r.staleAnswers(vm1) })
	r.in(t, "F08_Throttled", func(r *rig) { r.throttled(vm1) })
	r.in(t, "F10_StuckDetaching", func(r *rig) { r.stuckDetaching(vm2) })
	r.in(t, "F11_TerminatedWhileDetaching", func(r *rig) { r.terminatedWhileDetaching(vm2) })
	r.in(t, "F09_AttachedAndNotThere", blind)
	r.in(t, "DeletedByHand", robbed)

	for _, e := range r.site.Cloud.Log(0) {
		if foreign[e.Resource] && e.Effect && e.Event != "planted" {
			t.Errorf("what is not ours was touched: %+v", e)
		}
	}
	left := 0
	for _, e := range r.site.Cloud.Interfaces() {
		if foreign[e.ID] {
			left++
		}
	}
	if left != len(foreign) {
		t.Errorf("of %d interfaces that are not ours there are %d", len(foreign), left)
	}
}

// in runs a part under a name of its own.
func (r *rig) in(t *testing.T, name string, part func(*rig)) {
	t.Run(name, func(t *testing.T) {
		begin := time.Now()
		in := *r
		in.t = t
		part(&in)
		t.Log(time.Since(begin))
	})
}

// foreign plants interfaces that look like ours: one has our names and not our
// cluster's tag, one is another installation's, and one is plugged in.
func (r *rig) foreign() map[string]bool {
	r.t.Helper()
	subnet := r.about.Subnets[0].ID
	ids, err := r.site.Cloud.Plant(
		cloudsim.Foreign{Subnet: subnet, Description: "nicferry nic-0123456789abcdef", Tags: cloudsim.Tags{"Name": "nicferry vpc", tagNIC: "nic-0123456789abcdef"}},
		cloudsim.Foreign{Subnet: subnet, Tags: cloudsim.Tags{tagNIC: "nic-0123456789abcdef", tagCluster: other}},
		cloudsim.Foreign{Subnet: subnet, Tags: cloudsim.Tags{tagNIC: "nic-0123456789abcdef"}, Instance: r.about.Instances[0].ID},
	)
	r.do(err)
	all := map[string]bool{}
	for _, id := range ids {
		all[id] = true
	}
	return all
}

// attachedAndNotThere: F09. The card never shows in the machine; the user is told
// whose fault that is, and the next one works.
func (r *rig) attachedAndNotThere(a *fleet.Agent) (then func(*rig)) {
	r.t.Helper()
	mark := r.mark()
	name := r.inject(cloudsim.Fault{Verb: cloudsim.AttachedButNoNIC, API: "AttachNetworkInterface"})[0]
	r.run(a, "blind", "vpc")
	r.await("the card to be left out", func() bool { return r.struck(name) })
	r.says("blind", "WaitingForNIC", "plugged in, says the provider: provider cloud says attached.*the guest vm1 has not seen MAC")
	first := r.attachedTo("blind")
	return func(r *rig) {
		r.says("blind", "made in vain", "not seen within 30s: provider cloud says attached.*the guest vm1 has not seen MAC "+first.MAC.String())
		eni := r.cardIs(a, "blind")
		if eni.ID == first.ID {
			r.t.Errorf("%s is tried again", eni.ID)
		}
		for _, api := range []string{"DetachNetworkInterface", "DeleteNetworkInterface"} {
			if n := r.did(mark, api, first.ID); n != 1 {
				r.t.Errorf("%d of %s for the card that was not there:\n%s", n, api, r.cloudLog(mark))
			}
		}
		r.remove(a, "blind", eni)
	}
}

// attachedTo is the interface of a container whose eth0 may not be there.
func (r *rig) attachedTo(container string) cloudsim.Interface {
	r.t.Helper()
	var eni cloudsim.Interface
	r.await("an interface for "+container, func() bool {
		out := r.cli("describe", "claim", container)
		for _, e := range r.ours() {
			if id := e.Tags[tagNIC]; strings.Contains(out, id) {
				eni = e
				return true
			}
		}
		return false
	})
	return eni
}

// did is how often a call on an interface took effect.
func (r *rig) did(mark int, api, id string) (n int) {
	for _, e := range r.site.Cloud.Log(mark) {
		if e.API == api && e.Resource == id && e.Effect {
			n++
		}
	}
	return n
}

// deletedByHand: somebody takes a container's interface out and deletes it. The
// container gets another, and the user is told why.
func (r *rig) deletedByHand(a *fleet.Agent) (then func(*rig)) {
	r.t.Helper()
	ctx, hand := r.t.Context(), cloudsim.Call{Caller: admin}
	r.run(a, "robbed", "vpc")
	was := r.cardIs(a, "robbed")
	r.do(r.site.Cloud.DetachInterface(ctx, hand, cloudsim.DetachInterface{Attachment: was.Attachment.ID}))
	r.do(fleet.Until(ctx, "it to be out", func() error { return r.site.Cloud.DeleteInterface(ctx, hand, was.ID) }))
	return func(r *rig) {
		r.says("robbed", "made in vain", "provider cloud has not plugged it in: it knows nothing of the NIC any more")
		eni := r.cardIs(a, "robbed")
		if eni.ID == was.ID {
			r.t.Errorf("%s is there", eni.ID)
		}
		r.remove(a, "robbed", eni)
	}
}

// lostReplies: F03. Each call that changes something takes place, and its answer is
// lost, also those of all the SDK's attempts.
func (r *rig) lostReplies(a *fleet.Agent) {
	r.t.Helper()
	mark := r.mark()
	var faults []cloudsim.Fault
	for _, api := range []string{"CreateNetworkInterface", "AttachNetworkInterface", "ModifyNetworkInterfaceAttribute", "DetachNetworkInterface", "DeleteNetworkInterface"} {
		faults = append(faults, cloudsim.Fault{Verb: cloudsim.LoseReply, API: api, Count: 3})
	}
	names := r.inject(faults...)
	r.run(a, "lost", "vpc")
	r.remove(a, "lost", r.cardIs(a, "lost"))
	r.made(mark, 1)
	for _, name := range names[:1] {
		if !r.struck(name) {
			r.t.Errorf("%s has not struck:\n%s", name, r.cloudLog(mark))
		}
	}
	r.site.Cloud.Clear(names...)
}

// staleAnswers: F05. EC2 shows the world as it was before, to a controller that has
// just been started: nothing of what is there is touched.
func (r *rig) staleAnswers(a *fleet.Agent) {
	r.t.Helper()
	r.run(a, "kept", "vpc")
	eni := r.cardIs(a, "kept")
	r.do(r.KillController(r.t.Context()))
	mark, before := r.mark(), len(r.Log())
	names := r.inject(cloudsim.Fault{Verb: cloudsim.StaleDescribe, API: "Describe*", Delay: nic.Duration(time.Hour), Count: -1})
	r.do(r.StartController(r.t.Context()))
	missed := regexp.MustCompile(`difference found.*` + eni.Tags[tagNIC] + `.*absent at the provider`)
	r.await("a sweep that misses it", func() bool { return missed.MatchString(r.Log()[before:]) })
	time.Sleep(2 * time.Second) // until it is mended, should anybody do so
	for _, api := range []string{"DetachNetworkInterface", "DeleteNetworkInterface"} {
		if n := r.did(mark, api, eni.ID); n > 0 {
			r.t.Errorf("%d of %s for what does not show:\n%s", n, api, r.cloudLog(mark))
		}
	}
	r.site.Cloud.Clear(names...)
	if again := r.cardIs(a, "kept"); again.ID != eni.ID {
		r.t.Errorf("it has %s; had %s", again.ID, eni.ID)
	}
	r.remove(a, "kept", eni)
}

// throttled: F08, for as long as a test can wait. There are few calls, the user is
// told, and then it goes on.
func (r *rig) throttled(a *fleet.Agent) {
	r.t.Helper()
	mark := r.mark()
	names := r.inject(cloudsim.Fault{Verb: cloudsim.Throttle, Count: -1})
	r.run(a, "late", "vpc")
	r.says("late", "ProviderError", "throttled", "RequestLimitExceeded|limit of calls is used up")
	time.Sleep(2 * time.Second)
	refused := 0
	for _, e := range r.site.Cloud.Log(mark) {
		if e.Code != "" {
			refused++
		}
	}
	r.t.Logf("%d calls were throttled", refused)
	if refused > 40 {
		r.t.Errorf("%d calls of a cloud that takes none:\n%s", refused, r.cloudLog(mark))
	}
	r.site.Cloud.Clear(names...)
	r.remove(a, "late", r.cardIs(a, "late"))
	r.made(mark, 1)
}

// stuckDetaching: F10. The user sees it; nobody else gets the address, and nothing is
// forced.
func (r *rig) stuckDetaching(a *fleet.Agent) {
	r.t.Helper()
	r.run(a, "stuck", "vpc")
	eni := r.cardIs(a, "stuck")
	mark := r.mark()
	names := r.inject(cloudsim.Fault{Verb: cloudsim.Stuck, State: "detaching", API: "DetachNetworkInterface", Resource: eni.ID})
	_, err := a.Docker(r.t.Context(), "rm", "-f", "stuck")
	r.do(err)
	r.await("the detach to hang", func() bool { return r.did(mark, "DetachNetworkInterface", eni.ID) == 1 })
	r.run(a, "next", "vpc")
	next := r.cardIs(a, "next")
	if next.ID == eni.ID || next.Primary() == eni.Primary() {
		r.t.Errorf("%s has what %s still has: %s", next.ID, eni.ID, eni.Primary())
	}
	r.await("the user to see that it is detaching", func() bool {
		return strings.Contains(r.cli("get", "nics", "-o", "wide"), eni.ID) &&
			strings.Contains(strings.ToLower(r.cli("describe", "nic", eni.Tags[tagNIC])), "detaching")
	})
	if n := r.did(mark, "DetachNetworkInterface", eni.ID) + 10*r.did(mark, "DeleteNetworkInterface", eni.ID); n != 1 {
		r.t.Errorf("it was not left alone:\n%s", r.cloudLog(mark))
	}
	r.site.Cloud.Clear(names...)
	r.do(fleet.Until(r.t.Context(), "it to be gone", func() error {
		if r.did(mark, "DeleteNetworkInterface", eni.ID) != 1 {
			return fmt.Errorf("the cloud's log:\n%s", r.cloudLog(mark))
		}
		return nil
	}))
	r.remove(a, "next", next)
}

// terminatedWhileDetaching: F11. What goes with its instance counts as detached.
func (r *rig) terminatedWhileDetaching(a *fleet.Agent) {
	r.t.Helper()
	r.run(a, "doomed", "vpc")
	eni := r.cardIs(a, "doomed")
	name := r.inject(cloudsim.Fault{Verb: cloudsim.TerminateInstance, API: "DetachNetworkInterface", Resource: eni.ID, After: true})[0]
	r.remove(a, "doomed", eni)
	if !r.struck(name) {
		r.t.Error("the instance still runs")
	}
	r.do(fleet.Until(r.t.Context(), "its claim to be at its end", func() error {
		out, err := r.CLI(r.t.Context(), "get", "claims")
		if err == nil && strings.Contains(out, "doomed") {
			err = fmt.Errorf("there still is its claim:\n%s", out)
		}
		return err
	}))
	r.run(a, "homeless", "vpc")
	r.says("homeless", r.about.Instances[1].ID, "terminated|shutting-down|no instance")
}
