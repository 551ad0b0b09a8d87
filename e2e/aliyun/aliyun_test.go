//go:build linux

package aliyun

import (
	"os"
	"strings"
	"testing"

	"github.com/nicferry/nicferry/internal/cloudsim/iam"
	"github.com/nicferry/nicferry/internal/lab/cloudrig"
	"github.com/nicferry/nicferry/internal/lab/vendors"
)

// bin is where TestMain has put the programs.
var bin string

func TestMain(m *testing.M) { os.Exit(cloudrig.Main(m, "../..", &bin)) }

// world is the cloud of these scenarios.
func world() cloudrig.World { return cloudrig.World{Vendor: vendors.ECS(), Bin: bin} }

func TestS1_AColdStartAndAWarmOneOnECS(t *testing.T) {
	world().AColdStartAndAWarmOne(t, "read-only", "dynamic-eni")
}

// At those that look as well it is killed in the scenarios of EC2, which are the same.
func TestF01_KilledAtEachCallOfECS(t *testing.T) { world().KilledAtEachCall(t, 2, false) }

func TestECSThatIsNotAsItSays(t *testing.T) { world().ACloudThatIsNotAsItSays(t) }

func TestF03_AMoveWhileRepliesOfECSAreLost(t *testing.T) { world().AMoveWhileRepliesAreLost(t) }

func TestF03_AMoveByAddressWhileRepliesOfECSAreLost(t *testing.T) {
	world().AMoveByAddressWhileRepliesAreLost(t)
}

func TestF03_AnEIPComesAndGoes(t *testing.T) { world().APublicAddressComesAndGoes(t) }

func TestContainersShareAnInterfaceOfECS(t *testing.T) { world().ContainersShareAnInterface(t) }

// A controller on an instance has no keys of its own: it takes those of the instance's
// RAM role from metadata that wants tokens, and may do what the policies that we ship
// allow that role.
func TestTheControllersOwnRAMRole(t *testing.T) {
	t.Parallel()
	account := &iam.Account{}
	r := world().Start(t, cloudrig.Options{
		AtHome: true, Account: account,
		Env: func(*cloudrig.Rig, string) []string {
			return []string{"ALIBABA_CLOUD_ACCESS_KEY_ID=", "ALIBABA_CLOUD_ACCESS_KEY_SECRET=", "ALIBABA_CLOUD_SECURITY_TOKEN="}
		},
		Allow: func(r *cloudrig.Rig) {
			r.Everything(account, cloudrig.Admin)
			account.AttachRole("node", r.Shipped(account, "cloud", "read-only", "dynamic-eni")...)
		},
	})
	vm1 := r.Agents[0]
	mark := r.Mark()
	r.Run(vm1, "web", "vpc")
	r.Remove(vm1, "web", r.CardIs(vm1, "web"))
	for _, e := range r.Site.Cloud.Log(mark) {
		if e.API != "" && (!strings.HasPrefix(e.Caller, "STS.") || e.Code != "") {
			t.Errorf("not by the role's temporary key, or refused: %+v", e)
		}
	}
}
