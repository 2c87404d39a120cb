/**
 * Patterns of the keys of well-known services, each with a distinctive beginning or mark.
 *
 * So no ordinary text is taken for a key. Keys without a mark are known only by the names before them. Random
 * looks prove nothing: hashes, ids and file names look the same.
 *
 * Each pattern is linear: it starts at a literal, or at the edge of a run of characters.
 */
export const SERVICE_KEYS: readonly RegExp[] = [
  // Anthropic, OpenAI, OpenRouter, DeepSeek: https://docs.claude.com/en/api/overview, https://platform.openai.com/docs/api-reference/authentication
  /(?:(?<![A-Za-z0-9])sk-|sk-ant-)[\w-]{6,}/g,
  // Groq, xAI, Perplexity, Replicate: https://console.groq.com/docs/quickstart, https://docs.x.ai, https://docs.perplexity.ai, https://replicate.com/docs/topics/security/api-tokens
  /(?<![A-Za-z0-9])(?:gsk_|xai-|pplx-|r8_)[A-Za-z0-9]{20,}/g,
  // NVIDIA, LangSmith, Tavily, E2B: https://docs.api.nvidia.com, https://docs.smith.langchain.com, https://docs.tavily.com, https://e2b.dev/docs
  /(?<![A-Za-z0-9])(?:nvapi-|lsv2_(?:pt|sk)_|tvly-|e2b_)[\w-]{16,}/g,
  // Hugging Face: https://huggingface.co/docs/hub/security-tokens
  /(?<![A-Za-z0-9])(?:hf_|api_org_)[A-Za-z0-9]{20,}/g,
  // GitHub: https://github.blog/engineering/platform-security/behind-githubs-new-authentication-token-formats/
  /gh[pousr]_\w{10,}|github_pat_\w{10,}/g,
  // GitLab: https://docs.gitlab.com/security/tokens/#token-prefixes
  /gl(?:pat|oas|dt|rt|rtr|cbt|ptt|ft|imt|agent|soat|ffct|wt)-[\w.-]{10,}/g,
  // Atlassian, Bitbucket: https://support.atlassian.com/organization-administration/docs/understand-user-api-tokens/
  /(?:ATATT3|ATCTT3|ATBB|ATSTT3)[\w=-]{20,}/g,
  // Slack: https://docs.slack.dev/authentication/tokens
  /xox[a-z](?:\.xox[a-z])?-[\w-]{6,}|xapp-[\w-]{10,}|xwfp-[\w-]{10,}/g,
  // Slack's incoming webhooks: https://docs.slack.dev/messaging/sending-messages-using-incoming-webhooks
  /hooks\.slack(?:-gov)?\.com\/(?<value>(?:services|workflows|triggers)\/[\w/+-]+)/g,
  // Discord's webhooks and bots: https://discord.com/developers/docs/resources/webhook, https://discord.com/developers/docs/reference#authentication
  /discord(?:app)?\.com\/api\/(?:v\d+\/)?webhooks\/(?<value>[\w/-]+)/g,
  /(?<![\w-])[MNO][\w-]{23,27}\.[\w-]{6}\.[\w-]{27,}/g,
  // Teams and Power Automate: https://learn.microsoft.com/microsoftteams/platform/webhooks-and-connectors/how-to/add-incoming-webhook
  /\.webhook\.office\.com\/(?<value>webhookb2\/[\w@/-]+)/g,
  // Telegram: https://core.telegram.org/bots/api#authorizing-your-bot
  /(?<!\d)\d{6,12}:AA[\w-]{30,}/g,
  // AWS: https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_identifiers.html#identifiers-unique-ids, https://docs.aws.amazon.com/bedrock/latest/userguide/api-keys.html
  /(?:AKIA|ASIA|ABIA|ACCA)[A-Z0-9]{12,}|ABSK[\w+/=]{40,}/g,
  // Google: https://cloud.google.com/docs/authentication/api-keys, https://developers.google.com/identity/protocols/oauth2
  /AIza[\w-]{30,}|ya29\.[\w-]{10,}|GOCSPX-[\w-]{20,}|(?<![\w/])1\/\/0[\w-]{20,}/g,
  // Azure: https://learn.microsoft.com/purview/sit-defn-azure-ad-client-secret, https://learn.microsoft.com/azure/devops/organizations/accounts/use-personal-access-tokens-to-authenticate
  /(?<![\w~.-])[\w~.-]{3}\dQ~[\w~.-]{30,}|(?<![A-Za-z0-9])[A-Za-z0-9]{52}JQQJ99[A-Za-z0-9]{10,}/g,
  // DigitalOcean: https://docs.digitalocean.com/reference/api/create-personal-access-token/
  /do[opr]_v1_[A-Za-z0-9]{20,}/g,
  // Fly.io, Heroku, Netlify, Render: https://fly.io/docs/security/tokens/, https://devcenter.heroku.com/articles/authentication, https://docs.netlify.com/api/get-started/, https://render.com/docs/api
  /fo1_[\w-]{20,}|fm[12][ar]?_[\w+/=-]{20,}|HRKU-[\w-]{20,}|(?<![A-Za-z0-9])nfp_\w{20,}|(?<![A-Za-z0-9])rnd_\w{20,}/g,
  // npm: https://docs.npmjs.com/about-access-tokens
  /npm_[A-Za-z0-9]{30,}/g,
  // PyPI (a macaroon, base64): https://pypi.org/help/#apitoken
  /pypi-AgE[\w-]{16,}/g,
  // RubyGems, crates.io, NuGet, Docker Hub: https://guides.rubygems.org/api-key-scopes/, https://crates.io/docs/api, https://learn.microsoft.com/nuget/nuget-org/scoped-api-keys, https://docs.docker.com/security/access-tokens/
  /rubygems_[A-Za-z0-9]{20,}|(?<![A-Za-z0-9])cio[A-Za-z0-9]{32}(?![A-Za-z0-9])|(?<![a-z0-9])oy2[a-z0-9]{43}|dckr_(?:pat|oat)_[\w-]{20,}/g,
  // Stripe: https://docs.stripe.com/keys, https://docs.stripe.com/webhooks#verify-official-libraries
  /(?<![A-Za-z0-9])[sr]k_(?:live|test)_[A-Za-z0-9]{10,}|whsec_[\w+/=]{16,}/g,
  // Square, Razorpay, Brevo: https://developer.squareup.com/docs/build-basics/access-tokens, https://razorpay.com/docs/api/authentication/, https://developers.brevo.com/docs/getting-started
  /sq0(?:atp|csp|idp)-[\w-]{20,}|rzp_(?:live|test)_\w{10,}|xkeysib-[\w-]{20,}|xsmtpsib-[\w-]{20,}/g,
  // SendGrid, Mailgun, Mailchimp: https://www.twilio.com/docs/sendgrid/ui/account-and-settings/api-keys, https://documentation.mailgun.com, https://mailchimp.com/developer/marketing/guides/quick-start/
  /SG\.[\w-]{16,}\.[\w-]{16,}|(?<![A-Za-z0-9])key-[0-9a-f]{32}|(?<![0-9a-f])[0-9a-f]{32}-us\d{1,2}(?!\d)/g,
  // Twilio: https://www.twilio.com/docs/iam/api-keys
  /(?<![A-Za-z0-9])SK[0-9a-f]{32}(?![A-Za-z0-9])/g,
  // Shopify: https://shopify.dev/docs/apps/build/authentication-authorization/access-tokens
  /shp(?:at|ca|pa|ss|tka|ua)_[A-Za-z0-9]{16,}/g,
  // HashiCorp Vault and Terraform: https://developer.hashicorp.com/vault/docs/concepts/tokens, https://developer.hashicorp.com/terraform/cloud-docs/users-teams-organizations/api-tokens
  /(?<![A-Za-z0-9])hv[sbr]\.[\w-]{20,}|(?<![A-Za-z0-9])[A-Za-z0-9]{14}\.atlasv1\.[\w-]{20,}/g,
  // Doppler, Pulumi, 1Password, Tailscale: https://docs.doppler.com/reference/auth-token-formats, https://www.pulumi.com/docs/administration/access-identity/access-tokens/, https://developer.1password.com/docs/service-accounts/, https://tailscale.com/kb/1277/key-prefixes
  /(?<![A-Za-z0-9])dp\.(?:pt|st|ct|sa|scim|audit|said)\.[\w.-]{20,}|pul-[0-9a-f]{20,}|ops_eyJ[\w+/=-]+|tskey-[\w-]{10,}/g,
  // Grafana, New Relic, Sentry, Dynatrace, Databricks: https://grafana.com/docs/grafana/latest/administration/service-accounts/, https://docs.newrelic.com/docs/apis/intro-apis/new-relic-api-keys/, https://docs.sentry.io/account/auth-tokens/, https://docs.dynatrace.com/docs/manage/identity-access-management/access-tokens-and-oauth-clients/access-tokens, https://docs.databricks.com/aws/en/dev-tools/auth/pat
  /gl(?:c|sa)_[\w+/=]{20,}|NR(?:AK|II|AL|JS)-[\w-]{16,}|sntry[su]_[\w+/=-]{20,}|dt0[a-z]\d\d\.[A-Z0-9]{24}\.[A-Z0-9]{30,}|(?<![A-Za-z0-9])dapi[0-9a-f]{32}/g,
  // PlanetScale, Supabase, Postman, Notion, Linear, Figma, Airtable: https://planetscale.com/docs/api, https://supabase.com/docs/guides/api/api-keys, https://learning.postman.com/docs/developer/postman-api/authentication/, https://developers.notion.com/docs/authorization, https://linear.app/developers, https://developers.figma.com/docs/rest-api/authentication/, https://airtable.com/developers/web/guides/personal-access-tokens
  /pscale_(?:tkn|pw|oauth)_[\w.-]{16,}|sb[ps]_[A-Za-z0-9_]{20,}|sb_secret_[\w-]{16,}|PMAK-[\w-]{20,}|ntn_\w{20,}|lin_(?:api|oauth|wh)_\w{16,}|fig[dou]_[\w-]{20,}|(?<![A-Za-z0-9])pat[A-Za-z0-9]{14}\.[0-9a-f]{40,}/g,
  // CircleCI, Buildkite, Sonar: https://circleci.com/docs/managing-api-tokens/, https://buildkite.com/docs/platform/security/tokens, https://docs.sonarsource.com/sonarqube-server/latest/user-guide/managing-tokens/
  /CCIPAT_\w{16,}|CCIPRJ_\w{16,}|bk(?:ua|ct|at|pt)_[\w-]{16,}|sq[apu]_[0-9a-f]{40}/g,
  // age: https://github.com/FiloSottile/age/blob/main/doc/age.1.ronn; its plugins: https://c2sp.org/age-plugin
  /AGE-(?:SECRET-KEY-|PLUGIN-[\w-]{1,64}?-)1\w{16,}/gi,
  // JSON web tokens: https://www.rfc-editor.org/rfc/rfc7519
  /(?<![\w-])eyJ[\w-]+\.[\w-]+(?:\.[\w-]*)?/g,
];
