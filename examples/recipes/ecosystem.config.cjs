module.exports = {
  apps: [
    {
      name: 'host',
      script: 'host.js',
      kill_timeout: 15_000, // in ms: more than the ladder's 8 s, and than your finishMs
      treekill: false, // PM2 signals the host alone, which ends its agents itself
    },
  ],
};
