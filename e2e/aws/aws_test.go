//go:build linux

package aws

import (
	"os"
	"testing"
	"time"

	"github.com/nicferry/nicferry/internal/cloudsim"
	"github.com/nicferry/nicferry/internal/lab/cloudrig"
	"github.com/nicferry/nicferry/internal/lab/vendors"
	"github.com/nicferry/nicferry/nic"
)

// bin is where TestMain has put the programs.
var bin string

func TestMain(m *testing.M) { os.Exit(cloudrig.Main(m, "../..", &bin)) }

// world is the cloud of these scenarios.
func world() cloudrig.World { return cloudrig.World{Vendor: vendors.EC2(), Bin: bin} }

// A container gets an interface of the cloud's own for its eth0 under the policies that
// we ship, and one that is in reserve without a call that changes something; also where
// the clock is wrong by more than EC2 takes: the SDK learns the time from it.
func TestS3_AColdStartAndAWarmOne(t *testing.T) {
	r := world().AColdStartAndAWarmOne(t, "read-only", "dynamic-eni")
	vm1 := r.Agents[0]
	r.Inject(cloudsim.Fault{Verb: cloudsim.ClockSkew, Delay: nic.Duration(20 * time.Minute)})
	r.Run(vm1, "skewed", "vpc")
	r.Remove(vm1, "skewed", r.CardIs(vm1, "skewed"))
}

func TestF01_KilledAtEachCall(t *testing.T) { world().KilledAtEachCall(t, 2, true) }

func TestACloudThatIsNotAsItSays(t *testing.T) { world().ACloudThatIsNotAsItSays(t) }

func TestF03_AMoveWhileRepliesAreLost(t *testing.T) { world().AMoveWhileRepliesAreLost(t) }

func TestF03_AMoveByAddressWhileRepliesAreLost(t *testing.T) {
	world().AMoveByAddressWhileRepliesAreLost(t)
}

func TestF03_APublicAddressComesAndGoes(t *testing.T) { world().APublicAddressComesAndGoes(t) }

func TestContainersShareAnInterface(t *testing.T) { world().ContainersShareAnInterface(t) }
