package aliyun

import (
	"context"
	"errors"

	"github.com/aliyun/alibaba-cloud-sdk-go/sdk/requests"
	"github.com/aliyun/alibaba-cloud-sdk-go/sdk/responses"

	"github.com/nicferry/nicferry/internal/retry"
	"github.com/nicferry/nicferry/provider"
	"github.com/nicferry/nicferry/provider/aliyun/acs"
)

// call makes a call of ECS or VPC when its turn has come. request makes the request anew
// for each attempt, since signing changes it: what makes two of them the same to the
// cloud is their client token. Every error is a *provider.Error without the op and the
// NIC.
func call[Q requests.AcsRequest, A responses.AcsResponse](ctx context.Context, c *cloud, api string, request func() Q, answer func() A) (A, error) {
	if err := c.pace.Take(ctx, api); err != nil {
		var none A
		return none, err
	}
	return send(ctx, c, api, request, answer)
}

// send is call for what has waited for its turn. What may have taken place is sent again,
// which the SDK would do without a wait in between; what was throttled is not: another try
// at once takes the tokens of all. That is for pace.
func send[Q requests.AcsRequest, A responses.AcsResponse](ctx context.Context, c *cloud, api string, request func() Q, answer func() A) (A, error) {
	wait := retry.Backoff{First: c.backoff / 4, Max: c.backoff}
	for n := 1; ; n++ {
		got := answer()
		err := c.caller(api).Do(ctx, request(), got)
		if err == nil {
			c.pace.Passed(api)
			return got, nil
		}
		e := classify(ctx, api, err)
		if e.Kind == provider.ErrThrottled {
			e.RetryAfter = c.pace.Throttled(api)
		} else {
			c.pace.Passed(api)
		}
		if n == attempts || !errors.Is(e, provider.ErrUnknown) || retry.Sleep(ctx, wait.Next()) != nil {
			var none A
			return none, e
		}
	}
}

// do is call for an answer in which nothing is of use.
func do[Q requests.AcsRequest, A responses.AcsResponse](ctx context.Context, c *cloud, api string, request func() Q, answer func() A) error {
	_, err := call(ctx, c, api, request, answer)
	return err
}

func (c *cloud) caller(api string) *acs.Caller {
	if ofVPC(api) {
		return c.vpc
	}
	return c.ecs
}

// numbered asks for one page after the other by its number, and says how many it has read
// and how many there are. What comes or goes meanwhile moves the others from page to page:
// then one may have been missed, and that is told. The first page has had its turn.
func (c *cloud) numbered(ctx context.Context, api string, page func(number int) (read, total int, err error)) error {
	before, sum := -1, 0
	for number := 1; ; number++ {
		read, total, err := page(number)
		if err != nil {
			return err
		}
		if before >= 0 && total != before {
			return provider.Errorf(provider.ErrUnknown, "%s: the list changed while it was read, from %d to %d", api, before, total)
		}
		if before, sum = total, sum+read; sum >= total {
			return nil
		}
		if read == 0 {
			return provider.Errorf(provider.ErrUnknown, "%s: of %d there are %d, and the next page is empty", api, total, sum)
		}
		if err := c.pace.Take(ctx, api); err != nil {
			return err
		}
	}
}
