//go:build linux

package cloudrig

import (
	"fmt"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/nicferry/nicferry/internal/cloudsim"
	"github.com/nicferry/nicferry/internal/lab/fleet"
	"github.com/nicferry/nicferry/internal/lab/vendors"
	"github.com/nicferry/nicferry/nic"
)

// ACloudThatIsNotAsItSays loses answers, forgets, says what is not so, and lets people
// take away what they want. What takes half a minute goes on beside the rest.
func (w World) ACloudThatIsNotAsItSays(t *testing.T) {
	t.Parallel()
	r := w.Start(t, Options{Agents: 2, Type: w.Vendor.BigType, More: "sweep: {every: 1s, grace: 1s}\n"})
	vm1, vm2 := r.Agents[0], r.Agents[1]
	foreign := r.foreign()

	blind := r.attachedAndNotThere(vm1)
	robbed := r.deletedByHand(vm1)
	r.In(t, "F03_LostReplies", func(r *Rig) { r.lostReplies(vm1) })
	r.In(t, "F05_StaleAnswers", func(r *Rig) { r.staleAnswers(vm1) })
	r.In(t, "F08_Throttled", func(r *Rig) { r.throttled(vm1) })
	r.In(t, "F10_StuckDetaching", func(r *Rig) { r.stuckDetaching(vm2) })
	r.In(t, "F11_TerminatedWhileDetaching", func(r *Rig) { r.terminatedWhileDetaching(vm2) })
	r.In(t, "F09_AttachedAndNotThere", blind)
	r.In(t, "DeletedByHand", robbed)

	for _, e := range r.Site.Cloud.Log(0) {
		if foreign[e.Resource] && e.Effect && e.Event != "planted" {
			t.Errorf("what is not ours was touched: %+v", e)
		}
	}
	left := 0
	for _, e := range r.Site.Cloud.Interfaces() {
		if foreign[e.ID] {
			left++
		}
	}
	if left != len(foreign) {
		t.Errorf("of %d interfaces that are not ours there are %d", len(foreign), left)
	}
}

// foreign plants interfaces that look like ours: one has our names and not our
// cluster's tag, one is another installation's, and one is plugged in.
func (r *Rig) foreign() map[string]bool {
	r.T.Helper()
	subnet := r.About.Subnets[0].ID
	ids, err := r.Site.Cloud.Plant(
		cloudsim.Foreign{Subnet: subnet, Description: "nicferry nic-0123456789abcdef", Tags: cloudsim.Tags{"Name": "nicferry vpc", tagNIC: "nic-0123456789abcdef"}},
		cloudsim.Foreign{Subnet: subnet, Tags: cloudsim.Tags{tagNIC: "nic-0123456789abcdef", tagCluster: other}},
		cloudsim.Foreign{Subnet: subnet, Tags: cloudsim.Tags{tagNIC: "nic-0123456789abcdef"}, Instance: r.About.Instances[0].ID},
	)
	r.Must(err)
	all := map[string]bool{}
	for _, id := range ids {
		all[id] = true
	}
	return all
}

// attachedAndNotThere: F09. The card never shows in the machine; the user is told
// whose fault that is, and the next one works.
func (r *Rig) attachedAndNotThere(a *fleet.Agent) (then func(*Rig)) {
	r.T.Helper()
	mark := r.Mark()
	name := r.Inject(cloudsim.Fault{Verb: cloudsim.AttachedButNoNIC, API: vendors.Attach})[0]
	r.Run(a, "blind", "vpc")
	r.Await("the card to be left out", func() bool { return r.Struck(name) })
	r.Says("blind", "WaitingForNIC", "plugged in, says the provider: provider cloud says attached.*the guest vm1 has not seen MAC")
	first := r.attachedTo("blind")
	return func(r *Rig) {
		r.Says("blind", "made in vain", "not seen within 30s: provider cloud says attached.*the guest vm1 has not seen MAC "+first.MAC.String())
		eni := r.CardIs(a, "blind")
		if eni.ID == first.ID {
			r.T.Errorf("%s is tried again", eni.ID)
		}
		for _, api := range []string{vendors.Detach, vendors.Delete} {
			if n := r.did(mark, api, first.ID); n != 1 {
				r.T.Errorf("%d of %s for the card that was not there:\n%s", n, api, r.CloudLog(mark))
			}
		}
		r.Remove(a, "blind", eni)
	}
}

// attachedTo is the interface of a container whose eth0 may not be there.
func (r *Rig) attachedTo(container string) cloudsim.Interface {
	r.T.Helper()
	var eni cloudsim.Interface
	r.Await("an interface for "+container, func() bool {
		out := r.Tell("describe", "claim", container)
		for _, e := range r.Ours() {
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
func (r *Rig) did(mark int, api, id string) (n int) {
	for _, e := range r.Site.Cloud.Log(mark) {
		if e.API == api && e.Resource == id && e.Effect {
			n++
		}
	}
	return n
}

// deletedByHand: somebody takes a container's interface out and deletes it. The
// container gets another, and the user is told why.
func (r *Rig) deletedByHand(a *fleet.Agent) (then func(*Rig)) {
	r.T.Helper()
	ctx, hand := r.T.Context(), cloudsim.Call{Caller: Admin}
	r.Run(a, "robbed", "vpc")
	was := r.CardIs(a, "robbed")
	r.Must(r.Site.Cloud.DetachInterface(ctx, hand, cloudsim.DetachInterface{Attachment: was.Attachment.ID}))
	r.Must(fleet.Until(ctx, "it to be out", func() error { return r.Site.Cloud.DeleteInterface(ctx, hand, was.ID) }))
	return func(r *Rig) {
		r.Says("robbed", "made in vain", "provider cloud has not plugged it in: it knows nothing of the NIC any more")
		eni := r.CardIs(a, "robbed")
		if eni.ID == was.ID {
			r.T.Errorf("%s is there", eni.ID)
		}
		r.Remove(a, "robbed", eni)
	}
}

// lostReplies: F03. Each call that changes something takes place, and its answer is
// lost, also those of all the SDK's attempts.
func (r *Rig) lostReplies(a *fleet.Agent) {
	r.T.Helper()
	mark := r.Mark()
	var faults []cloudsim.Fault
	for _, api := range []string{vendors.Create, vendors.Attach, vendors.Modify, vendors.Detach, vendors.Delete} {
		faults = append(faults, cloudsim.Fault{Verb: cloudsim.LoseReply, API: api, Count: 3})
	}
	names := r.Inject(faults...)
	r.Run(a, "lost", "vpc")
	r.Remove(a, "lost", r.CardIs(a, "lost"))
	r.Made(mark, 1)
	for _, name := range names[:1] {
		if !r.Struck(name) {
			r.T.Errorf("%s has not struck:\n%s", name, r.CloudLog(mark))
		}
	}
	r.Site.Cloud.Clear(names...)
}

// staleAnswers: F05. the cloud shows the world as it was before, to a controller that has
// just been started: nothing of what is there is touched.
func (r *Rig) staleAnswers(a *fleet.Agent) {
	r.T.Helper()
	r.Run(a, "kept", "vpc")
	eni := r.CardIs(a, "kept")
	r.Must(r.KillController(r.T.Context()))
	mark, before := r.Mark(), len(r.Log())
	names := r.Inject(cloudsim.Fault{Verb: cloudsim.StaleDescribe, API: "Describe*", Delay: nic.Duration(time.Hour), Count: -1})
	r.Must(r.StartController(r.T.Context()))
	missed := regexp.MustCompile(`difference found.*` + eni.Tags[tagNIC] + `.*absent at the provider`)
	r.Await("a sweep that misses it", func() bool { return missed.MatchString(r.Log()[before:]) })
	time.Sleep(2 * time.Second) // until it is mended, should anybody do so
	for _, api := range []string{vendors.Detach, vendors.Delete} {
		if n := r.did(mark, api, eni.ID); n > 0 {
			r.T.Errorf("%d of %s for what does not show:\n%s", n, api, r.CloudLog(mark))
		}
	}
	r.Site.Cloud.Clear(names...)
	if again := r.CardIs(a, "kept"); again.ID != eni.ID {
		r.T.Errorf("it has %s; had %s", again.ID, eni.ID)
	}
	r.Remove(a, "kept", eni)
}

// throttled: F08, for as long as a test can wait. There are few calls, the user is
// told, and then it goes on.
func (r *Rig) throttled(a *fleet.Agent) {
	r.T.Helper()
	mark := r.Mark()
	names := r.Inject(cloudsim.Fault{Verb: cloudsim.Throttle, Count: -1})
	r.Run(a, "late", "vpc")
	r.Says("late", "ProviderError", "throttled", regexp.QuoteMeta(r.Vendor.Throttled)+"|limit of calls is used up")
	time.Sleep(2 * time.Second)
	refused := 0
	for _, e := range r.Site.Cloud.Log(mark) {
		if e.Code != "" {
			refused++
		}
	}
	r.T.Logf("%d calls were throttled", refused)
	if refused > 40 {
		r.T.Errorf("%d calls of a cloud that takes none:\n%s", refused, r.CloudLog(mark))
	}
	r.Site.Cloud.Clear(names...)
	r.Remove(a, "late", r.CardIs(a, "late"))
	r.Made(mark, 1)
}

// stuckDetaching: F10. The user sees it; nobody else gets the address, and nothing is
// forced.
func (r *Rig) stuckDetaching(a *fleet.Agent) {
	r.T.Helper()
	r.Run(a, "stuck", "vpc")
	eni := r.CardIs(a, "stuck")
	mark := r.Mark()
	names := r.Inject(cloudsim.Fault{Verb: cloudsim.Stuck, State: "detaching", API: vendors.Detach, Resource: eni.ID})
	_, err := a.Docker(r.T.Context(), "rm", "-f", "stuck")
	r.Must(err)
	r.Await("the detach to hang", func() bool { return r.did(mark, vendors.Detach, eni.ID) == 1 })
	r.Run(a, "next", "vpc")
	next := r.CardIs(a, "next")
	if next.ID == eni.ID || next.Primary() == eni.Primary() {
		r.T.Errorf("%s has what %s still has: %s", next.ID, eni.ID, eni.Primary())
	}
	r.Await("the user to see that it is detaching", func() bool {
		return strings.Contains(r.Tell("get", "nics", "-o", "wide"), eni.ID) &&
			strings.Contains(strings.ToLower(r.Tell("describe", "nic", eni.Tags[tagNIC])), "detaching")
	})
	if n := r.did(mark, vendors.Detach, eni.ID) + 10*r.did(mark, vendors.Delete, eni.ID); n != 1 {
		r.T.Errorf("it was not left alone:\n%s", r.CloudLog(mark))
	}
	r.Site.Cloud.Clear(names...)
	r.Must(fleet.Until(r.T.Context(), "it to be gone", func() error {
		if r.did(mark, vendors.Delete, eni.ID) != 1 {
			return fmt.Errorf("the cloud's log:\n%s", r.CloudLog(mark))
		}
		return nil
	}))
	r.Remove(a, "next", next)
}

// terminatedWhileDetaching: F11. What goes with its instance counts as detached.
func (r *Rig) terminatedWhileDetaching(a *fleet.Agent) {
	r.T.Helper()
	r.Run(a, "doomed", "vpc")
	eni := r.CardIs(a, "doomed")
	name := r.Inject(cloudsim.Fault{Verb: cloudsim.TerminateInstance, API: vendors.Detach, Resource: eni.ID, After: true})[0]
	r.Remove(a, "doomed", eni)
	if !r.Struck(name) {
		r.T.Error("the instance still runs")
	}
	r.Must(fleet.Until(r.T.Context(), "its claim to be at its end", func() error {
		out, err := r.CLI(r.T.Context(), "get", "claims")
		if err == nil && strings.Contains(out, "doomed") {
			err = fmt.Errorf("there still is its claim:\n%s", out)
		}
		return err
	}))
	r.Run(a, "homeless", "vpc")
	r.Says("homeless", r.About.Instances[1].ID, "terminated|shutting-down|no instance")
}
