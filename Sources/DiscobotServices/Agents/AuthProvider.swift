// SPDX-License-Identifier: Apache-2.0

/// Somebody whose key an agent can use, and the variables that agents look for it in.
package struct AuthProvider: Sendable, Encodable {
    package let id: String
    package let name: String
    package let description: String
    package let icons: [String]
    /// The first one is where a stored key is put.
    package let env: [String]

    private init(_ id: String, _ name: String, _ env: String...) {
        self.id = id
        self.name = name
        description = "Key for \(name)"
        icons = []
        self.env = env
    }

    /// Sorted by name.
    package static let all = [
        AuthProvider("alibaba", "Alibaba", "DASHSCOPE_API_KEY"),
        AuthProvider("amazon-bedrock", "Amazon Bedrock", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_REGION"),
        AuthProvider("anthropic", "Anthropic", "ANTHROPIC_API_KEY"),
        AuthProvider("azure", "Azure", "AZURE_API_KEY", "AZURE_RESOURCE_NAME"),
        AuthProvider("cerebras", "Cerebras", "CEREBRAS_API_KEY"),
        AuthProvider("codex", "Codex", "CODEX_API_KEY"),
        AuthProvider("cohere", "Cohere", "COHERE_API_KEY"),
        AuthProvider("deepinfra", "Deep Infra", "DEEPINFRA_API_KEY"),
        AuthProvider("deepseek", "DeepSeek", "DEEPSEEK_API_KEY"),
        AuthProvider("fireworks-ai", "Fireworks AI", "FIREWORKS_API_KEY"),
        AuthProvider("github-copilot", "GitHub Copilot", "GITHUB_TOKEN"),
        AuthProvider("google", "Google", "GOOGLE_GENERATIVE_AI_API_KEY", "GEMINI_API_KEY"),
        AuthProvider("groq", "Groq", "GROQ_API_KEY"),
        AuthProvider("huggingface", "Hugging Face", "HF_TOKEN"),
        AuthProvider("mistral", "Mistral", "MISTRAL_API_KEY"),
        AuthProvider("moonshotai", "Moonshot AI", "MOONSHOT_API_KEY"),
        AuthProvider("nvidia", "NVIDIA", "NVIDIA_API_KEY"),
        AuthProvider("openai", "OpenAI", "OPENAI_API_KEY"),
        AuthProvider("opencode", "OpenCode Zen", "OPENCODE_API_KEY"),
        AuthProvider("openrouter", "OpenRouter", "OPENROUTER_API_KEY"),
        AuthProvider("perplexity", "Perplexity", "PERPLEXITY_API_KEY"),
        AuthProvider("togetherai", "Together AI", "TOGETHER_API_KEY"),
        AuthProvider("xai", "xAI", "XAI_API_KEY"),
        AuthProvider("zai", "Z.AI", "ZHIPU_API_KEY"),
    ]
}
