package aws

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/aws/ratelimit"
	"github.com/aws/aws-sdk-go-v2/aws/retry"
	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/credentials/ec2rolecreds"
	"github.com/aws/aws-sdk-go-v2/feature/ec2/imds"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
	"github.com/aws/smithy-go"
	"github.com/aws/smithy-go/logging"

	"github.com/nicferry/nicferry/provider/secrets"
)

// Of each call the SDK makes attempts attempts of attemptTime at most, with up to
// maxBackoff between them: less than worstCall in all.
const (
	attempts    = 3
	attemptTime = 8 * time.Second
	maxBackoff  = time.Second
	// idleConns are kept for further calls: as many as are out at a time in a crowd of
	// starts, which shall not each shake hands anew.
	idleConns = 64
)

// ErrNoRegion: neither Options nor what the SDK looks at say one.
var ErrNoRegion = errors.New("no region is set: say it in the provider's aws section, in AWS_REGION or in the profile")

// connect makes the client, without a call.
func connect(ctx context.Context, o Options, words *secrets.Words) (*ec2.Client, error) {
	with := []func(*config.LoadOptions) error{config.WithRetryer(func() aws.Retryer { return newRetryer(o.backoff) })}
	if o.Region != "" {
		with = append(with, config.WithRegion(o.Region))
	}
	if o.Profile != "" {
		with = append(with, config.WithSharedConfigProfile(o.Profile))
	}
	role := &role{}
	with = append(with, config.WithEC2RoleCredentialOptions(func(ro *ec2rolecreds.Options) { ro.Client = role }))
	with = append(with, config.WithHTTPClient(awshttp.NewBuildableClient().WithTimeout(attemptTime).WithTransportOptions(func(t *http.Transport) {
		t.MaxIdleConnsPerHost = idleConns
	})))
	with = append(with, config.WithLogger(logging.LoggerFunc(func(_ logging.Classification, format string, args ...any) {
		o.Log.Debug("the SDK has a remark", "message", words.Strike(fmt.Sprintf(format, args...)))
	})))
	cfg, err := config.LoadDefaultConfig(ctx, with...)
	if err != nil {
		return nil, err
	}
	if cfg.Region == "" {
		return nil, ErrNoRegion
	}
	role.Client = imds.NewFromConfig(cfg, func(io *imds.Options) { io.EnableFallback = aws.FalseTernary })
	cfg.Credentials = chain{cfg.Credentials, words}
	return ec2.NewFromConfig(cfg, func(eo *ec2.Options) {
		if o.Endpoint != "" {
			eo.BaseEndpoint = aws.String(o.Endpoint)
		}
		if o.HTTPClient != nil { // not the chain's, which may need AWS_CA_BUNDLE
			eo.HTTPClient = o.HTTPClient
		}
		eo.RetryMaxAttempts = attempts // whatever AWS_MAX_ATTEMPTS says: see worstCall
		eo.APIOptions = append(eo.APIOptions, onlyAnswers)
	}), nil
}

// role reads the credentials of the instance's role where the chain comes to that,
// by the metadata service's second version alone. Left to itself the chain asks
// without a token for good once it was refused one, and whoever can make the
// controller fetch a URL could then read them. The client is that of the chain,
// with what the config files and the environment say of it, which is known only
// once they are loaded.
type role struct{ *imds.Client }

// newRetryer retries what the SDK's standard one does, but not what was
// throttled: another try at once takes the tokens of all. That is for pace. There
// is no quota of retries either, since attempts bounds them: with one, an outage
// would last longer for those that come late.
func newRetryer(backoff time.Duration) aws.Retryer {
	return retry.NewStandard(func(o *retry.StandardOptions) {
		o.MaxAttempts = attempts
		o.MaxBackoff = backoff
		o.RateLimiter = ratelimit.None
		o.Retryables = slices.Insert(slices.Clone(o.Retryables), 0, retry.IsErrorRetryable(retry.IsErrorRetryableFunc(again)))
	})
}

// again is what we know better than the SDK. To a clock that is slow EC2 says that
// the request has expired; the SDK has learnt the time from that answer, and would
// use it only for the next call.
func again(err error) aws.Ternary {
	e, ok := errors.AsType[smithy.APIError](err)
	switch {
	case ok && throttles(e.ErrorCode()):
		return aws.FalseTernary
	case ok && bare(e.ErrorCode()) == "RequestExpired":
		return aws.TrueTernary
	}
	return aws.UnknownTernary
}
