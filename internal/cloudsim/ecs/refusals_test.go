package ecs

import (
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/nicferry/nicferry/internal/cloudsim"
	"github.com/nicferry/nicferry/nic"
)

// A call is an action and its parameters.
type call []string

// refused makes a call and returns what comes, as HTTP and as an error document.
func (w *world) refused(c call) (int, string, string) {
	w.Helper()
	v := w.values(c[0], c[1:]...)
	v.Set("Signature", Sign("s3cret", http.MethodPost, v))
	status, got := w.send(v)
	return status, fmt.Sprint(got["Code"]), fmt.Sprint(got["Message"])
}

// holds says whether the answer is the table's row.
func (w *world) holds(key string, status int, code, message string) {
	w.Helper()
	r := refusals().byKey[key]
	before, after, filled := strings.Cut(r.message, "%s")
	if status != r.status || code != r.code || !strings.HasPrefix(message, before) || !strings.HasSuffix(message, after) || !filled && message != before {
		w.Errorf("%s: it is %d %s %q, and by the table %d %s %q", key, status, code, message, r.status, r.code, r.message)
	}
}

// Each row of refusals.tsv, which names its source, is brought about by a call.
func TestEveryRefusalIsBroughtAbout(t *testing.T) {
	t.Parallel()
	cases := map[string]func(*world) call{}
	for _, some := range []map[string]func(*world) call{refusalsOfReading, refusalsOfInterfaces, refusalsOfAddresses, refusalsOfBinding} {
		maps.Copy(cases, some)
	}
	for _, key := range refusals().keys {
		code, byFault := strings.CutPrefix(key, "fault.")
		do := cases[key]
		switch {
		case byFault:
			do = func(w *world) call {
				w.inject(cloudsim.Fault{Verb: cloudsim.Fail, Code: code})
				return call{"DescribeVSwitches"}
			}
		case atTheDoor[key]:
			continue // TestSignatures brings those about
		case do == nil:
			t.Errorf("%s: no call here brings it about", key)
			continue
		}
		t.Run(key, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, cloudsim.Options{Types: smallTypes, Quotas: smallQuotas})
			status, code, message := w.refused(do(w))
			w.holds(key, status, code, message)
			for _, e := range w.cloud.Log(0)[len(w.cloud.Log(0))-1:] {
				if !strings.HasPrefix(key, "wire.") && e.API != "" && e.Code != code {
					t.Errorf("the log says %s", e.Code)
				}
			}
		})
	}
	for key := range cases {
		if _, there := refusals().byKey[key]; !there {
			t.Errorf("%s is in no row", key)
		}
	}
}

// All that the cloud can say has words here.
func TestEveryRefusalHasWords(t *testing.T) {
	t.Parallel()
	other := []string{ // brought about by no call of this face
		"index.inuse", "index.range", "type.missing", "zone.missing", "filter.unknown", "attribute.unknown", "association.missing",
		"page.size", "tag.reserved", "group.none", "vpc.missing", "value", "instance.many", "ip.primary.other",
	}
	for key := range cloudsim.Refusals() {
		if _, there := refusals().byKey[key]; !there && !slices.Contains(other, key) {
			t.Errorf("refusals.tsv has no %s", key)
		}
	}
}

// families are the codes by which clients know what to do, as the project's notes on the
// API list them.
const families = `Throttling Throttling.User Throttling.Api Rejected.Throttling ServiceUnavailable InternalError
Operation.Conflict OperationConflict InvalidOperation.Conflict TaskConflict LastTokenProcessing
InvalidOperation.InvalidEniState InvalidOperation.InvalidEcsState IncorrectInstanceStatus InvalidOperation.InvalidEniType
InvalidOperation.DetachPrimaryEniNotAllowed InvalidOperation.EniServiceManaged InvalidOperation.HasMemberEniAttached
InvalidEniId.NotFound InvalidEcsId.NotFound InvalidInstanceId.NotFound InvalidIp.IpUnassigned InvalidIp.IpAssigned
InvalidPrivateIpAddress.Duplicated InvalidIp.IpRepeated InvalidVSwitchId.IpInvalid InvalidIp.Address InvalidVSwitchId.IpNotEnough
QuotaExceeded.PrivateIpAddress EniPerInstanceLimitExceeded MaxEniCountExceeded InvalidOperation.Ipv4CountExceeded
InvalidOperation.Ipv6CountExceeded MaxEniPrivateIpsCountExceeded MaxEniIpv6IpsCountExceeded SecurityGroupInstanceLimitExceed
InvalidOperation.AvailabilityZoneMismatch InvalidOperation.VpcMismatch InvalidSecurityGroupId.NotVpc InvalidVSwitch.Ipv6NotTurnOn
InvalidOperation.Ipv6NotSupport IdempotentParameterMismatch IdempotentFailed InvalidVSwitchId.NotFound InvalidSecurityGroupId.NotFound
InvalidResourceGroup.NotFound MissingParameter InvalidParameter InvalidParameter.Conflict UnsupportedParameter Duplicate.TagKey
InvalidTagKey.Malformed IncorrectVSwitchStatus Forbidden.RAM Forbidden.SubUser Forbidden.NotSupportRAM NoPermission
SignatureDoesNotMatch IncompleteSignature InvalidAccessKeyId.NotFound InvalidTimeStamp.Expired SignatureNonceUsed
InvalidSecurityToken.Malformed InvalidSecurityToken.Expired IncorrectHaVipStatus InvalidVip.Status IncorrectStatus IncorrectEipStatus
InvalidBindingStatus InvalidStatus.EniStatusNotSupport InvalidStatus.EcsStatusNotSupport SystemBusy InvalidHaVipId.NotFound
InvalidAllocationId.NotFound`

// Every code of the families can come from every call: by what is so, or by a fault that
// names it and nothing else.
func TestF13_EveryCodeOnEveryCall(t *testing.T) {
	t.Parallel()
	w := newWorld(t, cloudsim.Options{})
	id := w.create()
	eip := w.eip()
	for _, code := range strings.Fields(families) {
		row, known := refusals().byCode[code]
		if !known {
			t.Errorf("the table has no %s", code)
			continue
		}
		for action := range actions() {
			w.inject(cloudsim.Fault{Name: "f", Verb: cloudsim.Fail, API: action, Code: code})
			status, said, message := w.refused(w.least(action, id, eip))
			if w.cloud.Clear("f"); status != row.status || said != code || message == "" {
				t.Errorf("%s is to answer %s, and does %d %s %q", action, code, status, said, message)
			}
		}
	}
}

// least is a call of an action with what it cannot do without.
func (w *world) least(action, eni, eip string) call {
	c := call{action}
	add := func(when bool, pairs ...string) {
		if when {
			c = append(c, pairs...)
		}
	}
	has := func(part string) bool { return strings.Contains(action, part) }
	add(action == "CreateNetworkInterface", "VSwitchId", w.vSwitch, "SecurityGroupId", w.group)
	add(action == "CreateHaVip", "VSwitchId", w.vSwitch)
	add(has("Attribute") || has("sign") || has("tachNetwork") || has("DeleteNetwork"), "NetworkInterfaceId", eni)
	add(action == "ModifyNetworkInterfaceAttribute", "Description", "another")
	add(has("tachNetwork"), "InstanceId", w.ecs)
	add(has("signPrivate"), "PrivateIpAddress.1", "10.0.1.77")
	add(has("signIpv6"), "Ipv6Address.1", "fd00:0:0:1::77")
	add(has("agResources"), "ResourceType", "eni", "ResourceId.1", eni)
	add(action == "TagResources", "Tag.1.Key", "key")
	add(action == "UntagResources", "TagKey.1", "key")
	add(has("ociateEip"), "AllocationId", eip, "InstanceType", "NetworkInterface", "InstanceId", eni)
	add(has("ReleaseEip"), "AllocationId", eip)
	add(has("ociateHaVip"), "HaVipId", "havip-1", "InstanceId", w.ecs)
	add(has("DeleteHaVip"), "HaVipId", "havip-1")
	return c
}

func (w *world) inject(faults ...cloudsim.Fault) {
	w.Helper()
	if _, err := w.cloud.Inject(faults...); err != nil {
		w.Fatal(err)
	}
}

func (w *world) eip() string {
	w.Helper()
	return dig(w.ok("AllocateEipAddress"), "AllocationId").(string)
}

func (w *world) haVip() string {
	w.Helper()
	return dig(w.ok("CreateHaVip", "VSwitchId", w.vSwitch), "HaVipId").(string)
}

// Faults know the calls by their names here, and what they say goes before the table.
func TestFaultsByECSsNames(t *testing.T) {
	t.Parallel()
	w := newWorld(t, cloudsim.Options{})
	for verb, key := range map[cloudsim.Verb]string{
		cloudsim.Throttle: "throttled", cloudsim.Conflict: "conflict", cloudsim.ServerError: "server", cloudsim.SubnetEmpty: "subnet.full",
	} {
		w.inject(cloudsim.Fault{Verb: verb, API: "DescribeVSwitches", For: nic.Duration(time.Hour), Name: "f"})
		status, code, message := w.refused(call{"DescribeVSwitches"})
		w.holds(key, status, code, message)
		w.cloud.Clear("f")
	}
	w.inject(cloudsim.Fault{Verb: cloudsim.Conflict, Code: "TaskConflict", Status: 409, Message: "wait"})
	if status, code, message := w.refused(call{"DescribeVpcs"}); status != 409 || code != "TaskConflict" || message != "wait" {
		t.Errorf("what a fault says is %d %s %q", status, code, message)
	}
	w.inject(cloudsim.Fault{Verb: cloudsim.Fail, Code: "OfNobody", Status: 418})
	if status, code, _ := w.refused(call{"DescribeVpcs"}); status != 418 || code != "OfNobody" {
		t.Errorf("a code of no table is %d %s", status, code)
	}
	log := w.cloud.Log(0)
	if got := log[len(log)-2].Code; got != "TaskConflict" {
		t.Errorf("the log says %s", got)
	}
}
