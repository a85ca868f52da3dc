"""A backend-for-frontend: it signs people in, keeps their tokens, and makes a logout final.

    app/               factory.py, create_app(): every endpoint, who may call it, what wraps it;
                       services.py, build_services(): the parts below, in order of construction
    cli/               the commands: serve, routes, sessions, revocations, deny-list-key
    web/               endpoints for browsers: sign-in, logout, profile, devices, SPA, pages
    machine_api/       endpoints for programs: admin, back-channel logout, webhooks, introspection,
                       health; none of them looks at the cookie
    gateway/           /api and /auth/verify: request in, upstream, response out
    access/            may this request use the session that its cookie names?
    sessions/          start, load, list, expire, and the one door to end a session
    tokens/            access tokens for upstreams, renewed under a lock
    revocation/        what happens when sessions end
    provider/          the OpenID provider: endpoints, dialects, the tokens that it signs
    store/             Redis: key names, scripts, records, indexes, outbox, deny-list, watermarks
    config/            settings, routes
    resource_server/   all that an API needs to refuse revoked access tokens, and nothing else
    core/              what every part uses: model, errors, audit log, sealing, background work

A package imports from those below it and never from its neighbours (`pyproject.toml`).
"""
