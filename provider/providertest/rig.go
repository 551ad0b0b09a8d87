// Package providertest is the conformance suite that every provider passes, and
// the ledger and nodes in memory that providers are tested with.
package providertest

import (
	"slices"
	"testing"
	"testing/synctest"

	"github.com/nicferry/nicferry/nic"
	"github.com/nicferry/nicferry/provider"
)

// A Rig is one provider under test, with the hands that the suite needs on its
// world. Its world starts without a NIC of ours, and what is not ours may be in
// it from the start. All functions may be called concurrently.
type Rig struct {
	// Provider is the one under test; required.
	Provider provider.Provider
	// Places are two different instances that each have a free slot or more
	// (few, because one case fills the first); required.
	Places [2]nic.Place
	// Spec returns a fully placed spec, as the allocator would give it; required,
	// unless there is SpecAt.
	Spec func(id nic.ID) nic.Spec
	// SpecAt is Spec for one of the Places, where a NIC is made of what its node has:
	// it can be plugged in nowhere else, and has its slot until it is deleted; optional.
	SpecAt func(id nic.ID, at nic.Place) nic.Spec
	// Other returns the same spec with other parameters; optional, the default
	// is another MTU.
	Other func(spec nic.Spec) nic.Spec
	// Settle lets time pass: every transition gets nearer its end, and after a
	// hundred calls every one has ended that does not wait for a node; required.
	Settle func(t *testing.T)
	// NodeClean sets what the instance's node reports of a NIC from now on:
	// true, nothing of it is left there. Required if nodes make the NICs, nil
	// otherwise; the suite then knows that only a report ends detaching.
	NodeClean func(instance nic.InstanceID, id nic.ID, clean bool)
	// Restart returns a new Provider on the same world, as after a restart of
	// the controller; nil if the provider keeps nothing.
	Restart func(t *testing.T) provider.Provider
	// Fail makes the next call of op fail with an error of that kind, before
	// its effect; nil where that cannot be done.
	Fail func(op string, kind error)
	// Lose makes the next call of op lose its reply: the effect takes place and
	// the caller gets ErrUnknown; nil where that cannot be done.
	Lose func(op string)
	// SetOff turns an instance's machine off and on again; required if the provider
	// is a provider.Powered.
	SetOff func(instance nic.InstanceID, off bool)
}

// The ops, as provider.Error.Op names them.
const (
	opCreate = "create"
	opAttach = "attach"
	opDetach = "detach"
	opDelete = "delete"
	opGet    = "get"
	opList   = "list"
	opLimits = "limits"
	opOff    = "off"

	opPublish   = "publish"
	opUnpublish = "unpublish"
	opPublished = "published"
)

// Run runs the suite. It makes one rig for each case and takes every NIC away
// at the case's end; a case fails if anything is left then.
func Run(t *testing.T, newRig func(t *testing.T) *Rig) {
	RunSome(t, func(string) bool { return true }, newRig)
}

// RunSome is Run with the cases whose names pick says yes to, where all of them
// would take too long.
func RunSome(t *testing.T, pick func(name string) bool, newRig func(t *testing.T) *Rig) {
	for _, c := range cases() {
		if !pick(c.name) {
			continue
		}
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			c.run(newBench(t, newRig(t)))
		})
	}
}

// RunBubble is Run with each case in a synctest bubble of its own, where time
// passes at once. It is for providers that do no I/O.
func RunBubble(t *testing.T, newRig func(t *testing.T) *Rig) {
	for _, c := range cases() {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) { c.run(newBench(t, newRig(t))) })
		})
	}
}

type testCase struct {
	name string
	run  func(*bench)
}

func cases() []testCase {
	cs := []testCase{
		{"InfoIsComplete", infoIsComplete},
		{"CreateTwiceIsOneNIC", createTwice},
		{"F03_CreateAfterRestartIsTheSameNIC", createAfterRestart},
		{"CreateWithOtherParametersIsInvalid", createOther},
		{"CreateOfAnAttachedNICSaysSo", createAttached},
		{"GetOfAnUnknownNICIsNoError", getUnknown},
		{"ListHasEveryNIC", listHasAll},
		{"AttachSaysPlaceAndRecipe", attachSays},
		{"AttachTwiceIsOneAttachment", attachTwice},
		{"AttachElsewhere", attachElsewhere},
		{"AttachOnlyWhereItIsMade", attachBound},
		{"AttachUnknownNIC", attachUnknown},
		{"AttachSurvivesRestart", attachSurvivesRestart},
		{"F23_SlotLimit", slotLimit},
		{"LimitsOfAnUnknownInstance", limitsUnknown},
		{"DetachFromTheWrongInstance", detachWrong},
		{"DetachTwice", detachTwice},
		{"DetachNotPlugged", detachNotPlugged},
		{"DetachUnknownNIC", detachUnknown},
		{"F20_DetachIsDoneWhenGetSaysAvailable", detachIsDone},
		{"F22_DetachSurvivesRestart", detachSurvivesRestart},
		{"AttachAgainInBothPlaces", attachAgain},
		{"F64_CarriedToAnotherInstanceAndBack", carried},
		{"F64_CarriedAcrossRestarts", carriedAcrossRestarts},
		{"OffIsSaidOfMachinesThatAreOff", off},
		{"DeleteWhileAttachedIsBusy", deleteAttached},
		{"DeleteUntilNotFound", deleteUntil},
		{"F02_DeleteRightAfterCreate", deleteYoung},
		{"DeleteUnknownNIC", deleteUnknown},
		{"CancelledCallsCanBeRepeated", cancelled},
		{"F15_ConcurrentNICs", concurrentNICs},
		{"F15_ConcurrentCallsOfOneNIC", concurrentCalls},
	}
	return slices.Concat(cs, publicCases(), faultCases())
}
