package aliyun

import (
	"time"

	"github.com/nicferry/nicferry/provider/aliyun/acs"
	"github.com/nicferry/nicferry/provider/calls"
	"github.com/nicferry/nicferry/provider/eni"
)

// A cloud is ECS and VPC by the SDK.
type cloud struct {
	eni.Cloud // to come

	ecs, vpc *acs.Caller
	cluster  string
	pace     *calls.Pace
	backoff  time.Duration
}
