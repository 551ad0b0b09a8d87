package aws

import (
	"testing"

	"github.com/nicferry/nicferry/provider/eni/enitest"
)

// What is the same to test of each cloud.

func TestF01_DiesBetweenTwoSteps(t *testing.T)      { enitest.DiesBetweenTwoSteps(t, vendor()) }
func TestF02_EachCallFails(t *testing.T)            { enitest.EachCallFails(t, vendor()) }
func TestF03_LostReplies(t *testing.T)              { enitest.LostReplies(t, vendor()) }
func TestF03_OtherParameters(t *testing.T)          { enitest.OtherParameters(t, vendor()) }
func TestF03_ExplicitAddress(t *testing.T)          { enitest.ExplicitAddress(t, vendor()) }
func TestF04_HiddenAtFirst(t *testing.T)            { enitest.HiddenAtFirst(t, vendor()) }
func TestF05_StaleReadDestroysNothing(t *testing.T) { enitest.StaleReadDestroysNothing(t, vendor()) }
func TestF08_Storm(t *testing.T)                    { enitest.Storm(t, vendor()) }
func TestF08_AccountThrottled(t *testing.T)         { enitest.AccountThrottled(t, vendor()) }
func TestF10_StuckDetaching(t *testing.T)           { enitest.StuckDetaching(t, vendor()) }
func TestF11_TerminatedWhileDetaching(t *testing.T) { enitest.TerminatedWhileDetaching(t, vendor()) }
func TestF17_SubnetFull(t *testing.T)               { enitest.SubnetFull(t, vendor()) }
func TestF17_NextSubnet(t *testing.T)               { enitest.NextSubnet(t, vendor()) }
func TestF17_Quota(t *testing.T)                    { enitest.Quota(t, vendor()) }
func TestF18_DeleteOnTermination(t *testing.T)      { enitest.DeleteOnTermination(t, vendor()) }
func TestF19_Strict(t *testing.T)                   { enitest.Strict(t, vendor()) }
func TestAttachFallsBack(t *testing.T)              { enitest.AttachFallsBack(t, vendor()) }
func TestPlace(t *testing.T)                        { enitest.Place(t, vendor()) }
func TestAssign(t *testing.T)                       { enitest.Assign(t, vendor()) }
func TestAssignLostReplies(t *testing.T)            { enitest.AssignLostReplies(t, vendor()) }
func TestPublish(t *testing.T)                      { enitest.Publish(t, vendor()) }
func TestPublishLostReply(t *testing.T)             { enitest.PublishLostReply(t, vendor()) }
func TestCrowdOfStarts(t *testing.T)                { enitest.CrowdOfStarts(t, vendor()) }
func TestCreateOfWhatIsNew(t *testing.T)            { enitest.CreateOfWhatIsNew(t, vendor()) }
func TestRoom(t *testing.T)                         { enitest.Room(t, vendor()) }
func TestAttachByWhatWasSeen(t *testing.T)          { enitest.AttachByWhatWasSeen(t, vendor()) }
func TestExpiredCredentials(t *testing.T)           { enitest.ExpiredCredentials(t, vendor()) }
func TestSlowAnswers(t *testing.T)                  { enitest.SlowAnswers(t, vendor()) }
