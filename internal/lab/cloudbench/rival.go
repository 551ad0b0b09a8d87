//go:build linux

package cloudbench

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/nicferry/nicferry/internal/cloudsim"
	"github.com/nicferry/nicferry/internal/retry"
)

// A rival gets a NIC for a container on an instance, in the same cloud, as a CNI of a
// big cloud does it when it has none in reserve: with its order of calls, and with its
// pauses. It calls the cloud without a wire between.
type rival struct {
	name  string
	begin waits // before it begins
	seen  waits // until it sees the NIC
	// modifies: it has the NIC go with its instance, by a call of its own.
	modifies bool
	// looks is how it learns that the NIC is there: by the metadata of the instance,
	// or by asking the API.
	metadata bool
}

// waits are pauses: First, then Pause, and each Times as long as the one before, Most
// at most. Each is longer by up to the part Jitter.
type waits struct {
	// Even: First is drawn evenly up to its length, as when something is noticed by
	// who looks every so often.
	Even               bool
	First, Pause, Most time.Duration
	Times, Jitter      float64
	// Tries is how often it looks.
	Tries int
}

// A constant is one of a rival's, with where it is said.
type constant struct{ rival, what, value, source string }

const (
	vpcCNI   = "amazon-vpc-cni-k8s's pauses"
	terway   = "terway's pauses"
	vpcRepo  = "github.com/aws/amazon-vpc-cni-k8s v1.23.1, "
	terwayIn = "github.com/AliyunContainerService/terway 89aadf8b, "
)

// rivals are who nicferry is held against.
func rivals() []rival {
	return []rival{
		{
			name: vpcCNI, modifies: true, metadata: true,
			begin: waits{Even: true, First: 5 * time.Second},
			seen:  waits{Pause: 100 * time.Millisecond, Times: 2, Most: time.Minute, Jitter: 0.15, Tries: 12},
		},
		{
			name: terway,
			seen: waits{First: 3 * time.Second, Pause: 3 * time.Second, Times: 1.5, Jitter: 0.5, Tries: 8},
		},
	}
}

// constants say where those are from.
func constants() []constant {
	return []constant{
		{vpcCNI, "looks whether NICs are short", "every 5 s", vpcRepo + "`pkg/ipamd/ipamd.go`: `ipPoolMonitorInterval`, `StartNodeIPPoolManager`"},
		{vpcCNI, "in reserve", "1 (`WARM_ENI_TARGET`)", vpcRepo + "`pkg/ipamd/ipamd.go`: `defaultWarmENITarget`"},
		{vpcCNI, "looks into the instance's metadata until the NIC is there", "at once, then after 0.1 s, each pause twice the last, 15 % jitter, 60 s and 12 looks at most", vpcRepo + "`pkg/awsutils/awsutils.go`: `waitForENIAndIPsAttached`, `maxENIBackoffDelay`, `maxENIEC2APIRetries`"},
		{vpcCNI, "calls", "create, describe the instance, attach, modify", vpcRepo + "`pkg/awsutils/awsutils.go`: `AllocENI`, `attachENI`"},
		{terway, "asks the API until the NIC is in use", "after 3 s, then after 3 s, each pause 1.5 times the last, 50 % jitter, 8 looks at most", terwayIn + "`pkg/backoff/backoff.go`: `WaitENIStatus`; `pkg/eni/ops/executor.go`: `AttachAndWait`"},
		{terway, "calls", "create, attach, describe", terwayIn + "`pkg/controller/pod/pod_controller.go`, `pkg/eni/ops/executor.go`"},
	}
}

// pause is the n-th pause; the first one, before the first look, is number 0.
func (w waits) pause(n int, random func() float64) time.Duration {
	if n == 0 {
		if w.Even {
			return time.Duration(random() * float64(w.First))
		}
		return w.First
	}
	d := float64(w.Pause)
	for range n - 1 {
		d *= w.Times
	}
	if w.Most > 0 {
		d = min(d, float64(w.Most))
	}
	return time.Duration(d * (1 + w.Jitter*random()))
}

// errUnseen: a rival has given up looking.
var errUnseen = errors.New("the NIC has not come")

// A place is where a rival plugs in.
type place struct{ instance, subnet, group string }

// start gets a NIC, and returns how long that took.
func (r rival) start(ctx context.Context, cloud *cloudsim.Cloud, at place) (eni string, took time.Duration, err error) {
	call, begin := cloudsim.Call{Caller: r.name}, time.Now()
	if err := retry.Sleep(ctx, r.begin.pause(0, rand.Float64)); err != nil {
		return "", 0, err
	}
	made, err := cloud.CreateInterface(ctx, call, cloudsim.CreateInterface{Subnet: at.subnet, Groups: []string{at.group}})
	if err != nil {
		return "", 0, err
	}
	// The cloud here refuses to plug in what is pending. That is no time of the
	// rival's choice: it has it to the instant.
	if err := retry.Sleep(ctx, latency().Create.Max+time.Millisecond); err != nil {
		return made.ID, 0, err
	}
	attachment, err := r.attach(ctx, cloud, at.instance, made.ID)
	if err == nil && r.modifies {
		err = cloud.ModifyInterface(ctx, call, cloudsim.ModifyInterface{
			Interface: made.ID, Attachment: &cloudsim.ModifyAttachment{ID: attachment.ID, DeleteOnTermination: new(true)},
		})
	}
	if err != nil {
		return made.ID, 0, err
	}
	for n := range r.seen.Tries {
		if err := retry.Sleep(ctx, r.seen.pause(n, rand.Float64)); err != nil {
			return made.ID, 0, err
		}
		if there, err := r.sees(ctx, cloud, at.instance, made.ID); there || err != nil {
			return made.ID, time.Since(begin), err
		}
	}
	return made.ID, 0, fmt.Errorf("%w after %d looks", errUnseen, r.seen.Tries)
}

// attach plugs in at the lowest free index.
func (r rival) attach(ctx context.Context, cloud *cloudsim.Cloud, instance, eni string) (cloudsim.Attachment, error) {
	call := cloudsim.Call{Caller: r.name}
	all, err := cloud.DescribeInstances(ctx, call, cloudsim.Describe{IDs: []string{instance}})
	if err != nil {
		return cloudsim.Attachment{}, err
	}
	used := map[int]bool{}
	for _, i := range all.Items[0].Interfaces {
		used[i.Attachment.Device] = true
	}
	free := 0
	for used[free] {
		free++
	}
	return cloud.AttachInterface(ctx, call, cloudsim.AttachInterface{Interface: eni, Instance: instance, Device: free})
}

// sees looks once.
func (r rival) sees(ctx context.Context, cloud *cloudsim.Cloud, instance, eni string) (bool, error) {
	if r.metadata {
		guest, err := cloud.Guest(instance)
		for _, i := range guest.Interfaces {
			if i.Interface.ID == eni {
				return true, err
			}
		}
		return false, err
	}
	page, err := cloud.DescribeInterfaces(ctx, cloudsim.Call{Caller: r.name}, cloudsim.Describe{IDs: []string{eni}})
	if err != nil || len(page.Items) == 0 {
		return false, err
	}
	a := page.Items[0].Attachment
	return a != nil && a.Status == cloudsim.Attached, nil
}
